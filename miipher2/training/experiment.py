"""Load an experiment's YAML, initialise its modules and export the result.

Authors
 * The miipher2 authors 2026
"""

import difflib
from pathlib import Path

import ruamel.yaml
from hyperpyyaml.core import resolve_references

from miipher2.dataio.hparams import load_yaml, yaml_errors
from miipher2.errors import UserError
from miipher2.models.weights import halve

CLEANER = "cleaner.safetensors"
VOCODER = "vocoder.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
BACKBONE = "backbone"


def load_hparams(hparams_file, overrides=""):
    """Load the YAML of an experiment.

    Arguments
    ---------
    hparams_file : str
        The YAML file.
    overrides : str or dict
        Replaces top-level values, as returned by SpeechBrain's
        ``parse_arguments``.

    Returns
    -------
    dict
        The experiment.

    Raises
    ------
    UserError
        For an override of an unknown key (names the closest key) or one that
        is given twice, and as ``miipher2.dataio.hparams.yaml_errors`` does.

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
        overrides = _parse(overrides)
    with yaml_errors(hparams_file):
        text = Path(hparams_file).read_text("utf-8")
        keys = list(ruamel.yaml.YAML().load(text))
    for key in overrides:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1, 0.5)
            hint = f"did you mean --{near[0]}?" if near else "see the file"
            raise UserError(f"--{key}: no such key in {hparams_file}; {hint}")
    return load_yaml(hparams_file, overrides)


def _parse(overrides):
    """Return the overrides of a command line as a dict."""
    with yaml_errors("the command line"):
        try:
            return ruamel.yaml.YAML().load(overrides or "{}")
        except ruamel.yaml.constructor.DuplicateKeyError as error:
            line = overrides.splitlines()[error.problem_mark.line]
            key = line.partition(":")[0]
            raise UserError(f"--{key}: given twice; give it once") from None


def load_cleaner(cleaner, cleaner_folder):
    """Load the adapters of stage 1 into a cleaner.

    Arguments
    ---------
    cleaner : miipher2.models.cleaner.FeatureCleaner
        Its adapters are replaced.
    cleaner_folder : str
        The ``output_folder`` of stage 1, or the ``model`` folder in it.

    Raises
    ------
    UserError
        If there are no adapters, or those of another backbone.
    """
    for folder in (Path(cleaner_folder), Path(cleaner_folder, "model")):
        if (folder / CLEANER).exists():
            cleaner.loader(folder / CLEANER)
            return
    raise UserError(
        f"--cleaner_folder={cleaner_folder}: no {CLEANER} there nor in its "
        "folder 'model'; give the output_folder of a finished stage 1 "
        "(python train.py hparams/pa.yaml ...)"
    )


def start_from(hparams, folder):
    """Initialise the trained modules from the model folder of another run.

    Arguments
    ---------
    hparams : dict
        The experiment of any stage.
    folder : str
        A ``model`` folder. Stage 0 loads its backbone, stage 1 its adapters,
        stage 2 its vocoder and, if present, its discriminator.

    Raises
    ------
    UserError
        If the folder has no weights for this stage, or weights of other
        shapes.
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
            f"from --start_folder={folder}; give one of the two"
        )
    if not (folder / VOCODER).exists():
        raise UserError(
            f"--start_folder={folder}: no {VOCODER} there; give the folder "
            "'model' of an earlier stage 2"
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
        Not used.
    overrides : str or dict
        Not used.

    Returns
    -------
    str
        The last line that training prints: what to run next.
    """
    folder = _model_folder(hparams)
    pretraining = hparams["pretraining"]
    pretraining.export(folder)
    layers = pretraining.config.num_hidden_layers
    return (
        f"The backbone is in {folder}, with layers 1 to {layers}. Train "
        "adapters on it with: python train.py hparams/pa.yaml "
        f"--ssl_source={folder} --ssl_layer={-(-layers * 2 // 3)} ..."
    )


def export_cleaner(hparams, hparams_file, overrides):
    """Write the ``model`` folder of stage 1.

    Arguments
    ---------
    hparams : dict
        The experiment of stage 1, after training.
    hparams_file : str
        Not used.
    overrides : str or dict
        Not used.

    Returns
    -------
    str
        The last line that training prints: what to run next.
    """
    folder = _model_folder(hparams)
    hparams["cleaner"].saver(folder / CLEANER)
    return (
        f"The adapters are in {folder}. Train the vocoder with: "
        "python train.py hparams/vocoder.yaml "
        f"--cleaner_folder={hparams['output_folder']} ..."
    )


def export_restorer(hparams, hparams_file, overrides, half=False):
    """Write the ``model`` folder of stage 2, for ``Restorer.from_hparams``.

    It contains ``hyperparams.yaml``, the adapters, the vocoder and the layers of
    the backbone that are used: all that restoration needs.

    Arguments
    ---------
    hparams : dict
        The experiment of stage 2, after training.
    hparams_file : str
        Its YAML; ``models/restore.yaml`` next to it or above it is appended to
        ``hyperparams.yaml``.
    overrides : str or dict
        The overrides that it was loaded with.
    half : bool
        Whether to write float16, and the discriminator too, which a later run
        starts from.

    Returns
    -------
    str
        The last line that training prints: what to run next.
    """
    folder = _model_folder(hparams)
    hparams["backbone"].save(folder / BACKBONE)
    hparams["cleaner"].saver(folder / CLEANER)
    hparams["generator"].save(folder / VOCODER)
    if half:
        hparams["discriminator"].save(folder / DISCRIMINATOR)
        halve(folder)
    with open(hparams_file, encoding="utf-8") as file:
        resolved = resolve_references(file, overrides)
    yaml = ruamel.yaml.YAML()
    experiment = yaml.load(resolved)
    model = ruamel.yaml.comments.CommentedMap()
    for key in ("input_level", "backbone", "cleaner", "generator"):
        model[key] = experiment[key]
    model["backbone"]["source"] = ruamel.yaml.comments.TaggedScalar(
        f"<model_folder>/{BACKBONE}", tag="!ref"
    )
    model["generator"]["warm_start"] = None
    with open(folder / "hyperparams.yaml", "w", encoding="utf-8") as file:
        file.write("# Restoration model, read by miipher2\n")
        file.write("model_folder: !PLACEHOLDER\n\n")
        yaml.dump(model, file)
        file.write("\n" + _restore_yaml(hparams_file).read_text("utf-8"))
    return (
        f"The model is in {folder}. Restore with: "
        f"miipher2 restore INPUT OUTPUT --model {folder}"
    )


def _restore_yaml(hparams_file):
    """Return the nearest ``models/restore.yaml`` above an experiment."""
    for folder in Path(hparams_file).absolute().parents:
        path = folder / "models" / "restore.yaml"
        if path.is_file():
            return path
    raise UserError(
        f"{hparams_file}: expected models/restore.yaml next to it or in a "
        "folder above it; copy it from hparams/models"
    )


def _model_folder(hparams):
    folder = Path(hparams["output_folder"], "model")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
