"""Experiments: loading of YAML files, initialisation of modules, and exports.

Authors
 * The miipher2 authors 2026
"""

import io
import json
import shlex
from pathlib import Path

import ruamel.yaml

from miipher2.dataio.atomic import write_text
from miipher2.dataio.hparams import load_yaml
from miipher2.errors import UserError
from miipher2.models.weights import halve
from miipher2.training.overrides import (
    check_overrides,
    parse_overrides,
    read_yaml,
    resolved_yaml,
    yaml_tag,
)
from miipher2.training.recipe import train_command

CLEANER = "cleaner.safetensors"
VOCODER = "vocoder.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
BACKBONE = "backbone"
CLEANER_YAML = "cleaner.yaml"

# Keys whose values must be equal in stages 1 and 2
SSL_KEYS = ("ssl_source", "ssl_layer")
CLEANER_KEYS = (*SSL_KEYS, "adapter_placement", "adapter_bottleneck")
# Keys that are copied to the printed command of the next stage
DATA_KEYS = ("prepare", "data_folder", "noise_folder", "rir_folder")


def load_hparams(hparams_file, overrides=""):
    """Load the YAML of an experiment.

    Arguments
    ---------
    hparams_file : str
        The YAML file.
    overrides : str or dict
        New values of top-level keys, as returned by SpeechBrain's
        ``parse_arguments``.

    Returns
    -------
    dict
        Values and objects of the experiment by key.

    Raises
    ------
    UserError
        If a key is given twice, an override is invalid or the YAML cannot be
        loaded; see ``check_overrides`` and
        ``miipher2.dataio.hparams.yaml_errors``.

    Example
    -------
    >>> path = getfixture("tmpdir") / "a.yaml"
    >>> _ = path.write("batch_size: 4")
    >>> load_hparams(str(path), "batch_size: 8")
    {'batch_size': 8}
    >>> load_hparams(str(path), "batchsize: 8")
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: --batchsize: no such key in ...a.yaml; did you mean --batch_size?
    """
    if isinstance(overrides, str):
        overrides = parse_overrides(overrides)
    check_overrides(hparams_file, overrides)
    return load_yaml(hparams_file, overrides)


def check_segments(hparams):
    """Check that the segments of a vocoder are not longer than the crops.

    Arguments
    ---------
    hparams : dict
        Experiment of any stage.

    Raises
    ------
    UserError
        If ``vocoder_frames`` frames are longer than ``segment_seconds``.
    """
    if "vocoder_frames" not in hparams:
        return
    frames, crop = hparams["vocoder_frames"], hparams["segment_seconds"]
    rate = hparams["generator"].sample_rate / hparams["generator"].hop_length
    if frames > crop * rate:
        raise UserError(
            f"--vocoder_frames={frames}: {frames / rate:g} s is longer than "
            f"--segment_seconds={crop:g}; reduce --vocoder_frames to "
            f"{int(crop * rate)}, or increase --segment_seconds to "
            f"{frames / rate:g}"
        )


def find_cleaner(cleaner_folder):
    """Return the path of the adapters trained in stage 1.

    Arguments
    ---------
    cleaner_folder : str
        The ``output_folder`` of stage 1, or the ``model`` folder in it.

    Raises
    ------
    UserError
        If the folder contains no adapters.
    """
    for folder in (Path(cleaner_folder), Path(cleaner_folder, "model")):
        if (folder / CLEANER).exists():
            return folder / CLEANER
    raise UserError(
        f"{cleaner_folder}: no {CLEANER} in this folder or its subfolder "
        "'model'; give the output_folder of a finished stage 1 "
        "(miipher2 train pa ...)"
    )


def load_cleaner(cleaner, cleaner_folder):
    """Load the adapters trained in stage 1 into a cleaner.

    Arguments
    ---------
    cleaner : miipher2.models.cleaner.FeatureCleaner
        The cleaner, whose adapters are overwritten.
    cleaner_folder : str
        The ``output_folder`` of stage 1, or the ``model`` folder in it.

    Raises
    ------
    UserError
        If the folder contains no adapters, or if they do not fit the backbone.
    """
    cleaner.loader(find_cleaner(cleaner_folder))


def stage_one_overrides(hparams_file, overrides):
    """Add the backbone and adapter settings of stage 1 to the overrides.

    Arguments
    ---------
    hparams_file : str
        The YAML of an experiment of any stage.
    overrides : str
        Overrides of the command line.

    Returns
    -------
    str
        The overrides. If the experiment has a ``cleaner_folder``, they include
        the settings in the ``cleaner.yaml`` of this folder.

    Raises
    ------
    UserError
        If there are no adapters, the command line contradicts their settings,
        or it lacks the config from which stage 1 built the backbone.
    """
    given = parse_overrides(overrides)
    resolved = resolved_yaml(hparams_file, given)
    folder = resolved.get("cleaner_folder")
    if folder is None:
        return overrides
    path = find_cleaner(folder).with_name(CLEANER_YAML)
    if not path.exists():  # a folder of an older version or of stage 2
        return overrides
    lines = [overrides] if overrides else []
    shared = read_yaml(path)
    from_config = "ssl_source" not in shared and "ssl_source" in resolved
    if from_config and isinstance(resolved["ssl_source"], str):
        raise UserError(
            f"{path}: the backbone was built from a config and has no name; "
            "give the same --ssl as in stage 1"
        )
    for key, trained in shared.items():
        value = resolved[key]
        folder = _is_folder(key, trained) or _is_folder(key, value)
        if key in given or ("ssl" in given and key in SSL_KEYS):
            if value != trained and not folder:  # a folder may be a copy
                option = key if key in given else "ssl"
                raise UserError(
                    f"--{key}={value}: the adapters in {path.parent} were "
                    f"trained with {trained}; omit --{option}"
                )
        elif not _is_folder(key, trained) or Path(trained).is_dir():
            lines.append(f"{key}: {json.dumps(trained)}")
    return "\n".join(lines)


def _is_folder(key, value):
    if key != "ssl_source":
        return False
    return Path(value).is_absolute() or Path(value).is_dir()


def start_from(hparams, folder):
    """Initialise the modules from the model folder of an earlier run.

    Arguments
    ---------
    hparams : dict
        Experiment of any stage.
    folder : str
        A ``model`` folder. Stage 0 loads the backbone from it, stage 1 the
        adapters, and stage 2 the vocoder and, if present, the discriminator.

    Raises
    ------
    UserError
        If the folder has no weights for this stage, if they do not fit the
        model, or if ``warm_start`` is also given.
    """
    folder = Path(folder)
    if "pretraining" in hparams:
        inside = folder / BACKBONE
        hparams["pretraining"].start_from(inside if inside.is_dir() else folder)
        return
    if "generator" not in hparams:
        load_cleaner(hparams["cleaner"], folder)
        return
    if hparams["warm_start"] is not None:
        raise UserError(
            f"--warm_start={hparams['warm_start']}: the vocoder is initialised "
            f"from --start_folder={folder}; give only one of the two options"
        )
    if not (folder / VOCODER).exists():
        raise UserError(
            f"--start_folder={folder}: no {VOCODER} in this folder; give the "
            "'model' folder of an earlier stage 2"
        )
    hparams["generator"].load(folder / VOCODER)
    if (folder / DISCRIMINATOR).exists():
        hparams["discriminator"].load(folder / DISCRIMINATOR)


def export_backbone(hparams, hparams_file, overrides):
    """Write the ``model`` folder of stage 0.

    Arguments
    ---------
    hparams : dict
        The experiment of stage 0, after training.
    hparams_file : str
        YAML of the experiment.
    overrides : str or dict
        The overrides with which the experiment was loaded.

    Returns
    -------
    str
        The model folder and the command to run next, as text.
    """
    folder = _model_folder(hparams)
    pretraining = hparams["pretraining"]
    pretraining.export(folder)
    layers = pretraining.config.num_hidden_layers
    command = _next_command(
        Path(hparams_file).with_name("pa.yaml"),
        overrides,
        ssl_source=folder,
        ssl_layer=-(-layers * 2 // 3),
    )
    return (
        f"The backbone is in {folder} and has {layers} layers. Train "
        f"adapters on it with: {command}"
    )


def _next_command(hparams_file, overrides, keys=(), **options):
    """Return the command of the next stage; copy ``DATA_KEYS`` and ``keys``."""
    if isinstance(overrides, str):
        overrides = parse_overrides(overrides)
    for key in (*DATA_KEYS, *keys):
        if key in overrides:
            value = overrides[key]
            tag = yaml_tag(value)
            options[key] = tag or ("null" if value is None else value)
    options = [f"--{key}={value}" for key, value in options.items()]
    return shlex.join([*train_command(hparams_file), *options])


def export_cleaner(hparams, hparams_file, overrides):
    """Write the ``model`` folder of stage 1.

    Arguments
    ---------
    hparams : dict
        The experiment of stage 1, after training.
    hparams_file : str
        YAML of the experiment, in the same folder as the YAML of stage 2.
    overrides : str or dict
        The overrides with which the experiment was loaded.

    Returns
    -------
    str
        The model folder and the command to run next, as text.
    """
    folder = _model_folder(hparams)
    hparams["cleaner"].saver(folder / CLEANER)
    shared = {key: hparams[key] for key in CLEANER_KEYS if key in hparams}
    source = shared.get("ssl_source")
    keys = ()
    if not isinstance(source, str):  # a config, which stage 2 also needs
        shared.pop("ssl_source", None)
        keys = ("ssl", "ssl_source")
    elif Path(source).is_dir():
        shared["ssl_source"] = str(Path(source).absolute())
    write_text(
        folder / CLEANER_YAML,
        "# Settings of stage 1, read by stage 2\n"
        + "".join(f"{k}: {json.dumps(v)}\n" for k, v in shared.items()),
    )
    command = _next_command(
        Path(hparams_file).with_name("vocoder.yaml"),
        overrides,
        keys,
        cleaner_folder=hparams["output_folder"],
    )
    return f"The adapters are in {folder}. Train the vocoder with: {command}"


def export_restorer(hparams, hparams_file, overrides, half=False):
    """Write the ``model`` folder of stage 2, for ``Restorer.from_hparams``.

    The folder contains everything that restoration needs: ``hyperparams.yaml``,
    adapters, vocoder, and the layers of the backbone up to ``ssl_layer``.

    Arguments
    ---------
    hparams : dict
        The experiment of stage 2, after training.
    hparams_file : str
        YAML of the experiment. The nearest ``models/restore.yaml``, in the same
        folder or a parent folder, is appended to ``hyperparams.yaml``.
    overrides : str or dict
        The overrides with which the experiment was loaded.
    half : bool
        Whether to write float16 weights and, for later runs, the discriminator.

    Returns
    -------
    str
        The model folder and the command to run next, as text.
    """
    folder = _model_folder(hparams)
    hparams["backbone"].save(folder / BACKBONE)
    hparams["cleaner"].saver(folder / CLEANER)
    hparams["generator"].save(folder / VOCODER)
    if half:
        hparams["discriminator"].save(folder / DISCRIMINATOR)
        halve(folder)
    experiment = resolved_yaml(hparams_file, overrides)
    model = ruamel.yaml.comments.CommentedMap()
    for key in ("input_level", "backbone", "cleaner", "generator"):
        model[key] = experiment[key]
    model["backbone"]["source"] = ruamel.yaml.comments.TaggedScalar(
        f"<model_folder>/{BACKBONE}", tag="!ref"
    )
    model["generator"].pop("warm_start", None)
    text = io.StringIO()
    ruamel.yaml.YAML().dump(model, text)
    write_text(
        folder / "hyperparams.yaml",
        "# Restoration model, read by miipher2\n"
        f"model_folder: !PLACEHOLDER\n\n{text.getvalue()}\n"
        + _restore_yaml(hparams_file).read_text("utf-8"),
    )
    return (
        f"The model is in {folder}. Restore with: "
        f"miipher2 restore INPUT OUTPUT --model {folder}"
    )


def _restore_yaml(hparams_file):
    """Return the ``models/restore.yaml`` nearest to an experiment's YAML."""
    for folder in Path(hparams_file).absolute().parents:
        path = folder / "models" / "restore.yaml"
        if path.is_file():
            return path
    raise UserError(
        f"{hparams_file}: expected models/restore.yaml in the folder of this "
        "file or in a parent folder; copy it from hparams/models"
    )


def _model_folder(hparams):
    folder = Path(hparams["output_folder"], "model")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
