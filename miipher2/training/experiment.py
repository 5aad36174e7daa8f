"""Reading an experiment's YAML and handing on what it trained.

Authors
 * The miipher2 authors 2026
"""

import difflib
import re
from pathlib import Path

import hyperpyyaml
import ruamel.yaml
from hyperpyyaml.core import resolve_references

from miipher2.errors import UserError
from miipher2.models.weights import halve

CLEANER = "cleaner.safetensors"
VOCODER = "vocoder.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
BACKBONE = "backbone"


def load_hparams(hparams_file, overrides=""):
    """Loads a HyperPyYAML file; says in one line what is wrong with it.

    Arguments
    ---------
    hparams_file : str
        The YAML of the experiment.
    overrides : str or dict
        What replaces its top-level values, as SpeechBrain's
        ``parse_arguments`` gives it.

    Returns
    -------
    dict
        The experiment.

    Raises
    ------
    UserError
        For a missing file, an override that names no key (the nearest key is
        named), a value that has to be given, a class that is not there or is
        given a wrong argument.

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
    try:
        text = Path(hparams_file).read_text("utf-8")
        keys = list(ruamel.yaml.YAML().load(text))
        overrides = (
            ruamel.yaml.YAML().load(overrides or "{}")
            if isinstance(overrides, str)
            else overrides
        )
        for key in overrides:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1, 0.5)
                hint = f"did you mean --{near[0]}?" if near else "see the file"
                raise UserError(
                    f"--{key}: no such key in {hparams_file}; {hint}"
                )
        with open(hparams_file, encoding="utf-8") as file:
            return hyperpyyaml.load_hyperpyyaml(file, overrides)
    except FileNotFoundError as error:
        if not str(error.filename).endswith(".yaml"):
            raise
        raise UserError(
            f"{error.filename}: no such YAML file (needed by {hparams_file})"
        ) from None
    except (ImportError, TypeError, ValueError, ruamel.yaml.YAMLError) as error:
        raise _explained(error, hparams_file) from error


def _explained(error, hparams_file):
    """Turns what HyperPyYAML raises into a ``UserError``."""
    if isinstance(error, UserError):
        return error
    text = ": ".join(str(part) for part in error.args if part)
    placeholder = re.match(r"'(.+)' is a !PLACEHOLDER", text)
    if placeholder:
        key = placeholder[1]
        return UserError(f"--{key}: has to be given (see {hparams_file})")
    text = " ".join(text.split())
    return UserError(f"{hparams_file}: {text}")


def load_cleaner(cleaner, cleaner_folder):
    """Gives a cleaner the adapters that the first stage has trained.

    Arguments
    ---------
    cleaner : miipher2.models.cleaner.FeatureCleaner
        Gets the adapters.
    cleaner_folder : str
        The first stage's ``output_folder``, or the ``model`` folder in it.

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
    """Gives what is to be trained the weights of an earlier run.

    Arguments
    ---------
    hparams : dict
        The experiment of any stage.
    folder : str
        The ``model`` folder of an earlier run. Stage 0 takes its backbone,
        stage 1 its adapters, stage 2 its vocoder and, if it is there, its
        discriminator.

    Raises
    ------
    UserError
        If there is nothing for this stage, or it does not fit.
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
            f"--warm_start={hparams['warm_start']}: the vocoder starts with "
            f"--start_folder={folder}; give one of the two"
        )
    if not (folder / VOCODER).exists():
        raise UserError(
            f"--start_folder={folder}: no {VOCODER} there; give the folder "
            "'model' of an earlier stage 2"
        )
    hparams["generator"].load(folder / VOCODER)
    if (folder / DISCRIMINATOR).exists():
        hparams["discriminator"].load(folder / DISCRIMINATOR)


def export_cleaner(hparams, hparams_file, overrides):
    """Writes the folder in which the second stage finds the adapters.

    Arguments
    ---------
    hparams : dict
        The experiment of stage 1, its cleaner trained.
    hparams_file : str
        Not used: the adapters alone say what they belong to.
    overrides : str or dict
        Not used.

    Returns
    -------
    str
        What to do next, for the last line of the training.
    """
    folder = _model_folder(hparams)
    hparams["cleaner"].saver(folder / CLEANER)
    return (
        f"The adapters are in {folder}. Train the vocoder with: "
        "python train.py hparams/vocoder.yaml "
        f"--cleaner_folder={hparams['output_folder']} ..."
    )


def export_restorer(hparams, hparams_file, overrides, half=False):
    """Writes the folder that ``Restorer.from_hparams`` loads as it is.

    It holds ``hyperparams.yaml``, the adapters, the vocoder and the layers of
    the backbone that are used, so that nothing else is needed to restore.

    Arguments
    ---------
    hparams : dict
        The experiment of stage 2, its vocoder trained.
    hparams_file : str
        Its YAML; ``models/restore.yaml`` beside it says how to restore.
    overrides : str or dict
        The overrides that it was loaded with.
    half : bool
        Whether to write half precision, and the discriminator too, so that
        a later run can start from this folder.

    Returns
    -------
    str
        What to do next, for the last line of the training.
    """
    folder = _model_folder(hparams)
    hparams["backbone"].save(folder / BACKBONE)
    hparams["cleaner"].saver(folder / CLEANER)
    hparams["generator"].save(folder / VOCODER)
    if half:
        hparams["discriminator"].save(folder / DISCRIMINATOR)
        halve(folder)
    restore = Path(hparams_file).with_name("models") / "restore.yaml"
    with open(hparams_file, encoding="utf-8") as file:
        resolved = resolve_references(file, overrides)
    yaml = ruamel.yaml.YAML()
    every = yaml.load(resolved)
    model = ruamel.yaml.comments.CommentedMap()
    for key in ("backbone", "cleaner", "generator"):
        model[key] = every[key]
    model["backbone"]["source"] = ruamel.yaml.comments.TaggedScalar(
        f"<model_folder>/{BACKBONE}", tag="!ref"
    )
    model["generator"]["warm_start"] = None
    with open(folder / "hyperparams.yaml", "w", encoding="utf-8") as file:
        file.write("# How this model restores speech; read by miipher2\n")
        file.write("model_folder: !PLACEHOLDER\n\n")
        yaml.dump(model, file)
        file.write("\n" + restore.read_text("utf-8"))
    return (
        f"The model is in {folder}. Restore with: "
        f"miipher2 restore INPUT OUTPUT --model {folder}"
    )


def _model_folder(hparams):
    folder = Path(hparams["output_folder"], "model")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
