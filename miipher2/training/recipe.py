"""Location of the recipe: ``train.py``, ``hparams`` and prepare functions.

In a wheel, they are in the package's ``recipe`` folder. In a clone, they are
next to the package.

Authors
 * The miipher2 authors 2026
"""

import importlib.util
import sys
from pathlib import Path

from miipher2.errors import UserError

PACKAGE = Path(__file__).parents[1]
YAML_SUFFIXES = (".yaml", ".yml")


def recipe_folder():
    """Return the folder that contains ``train.py`` and ``hparams``.

    Raises
    ------
    UserError
        If the recipe is missing.
    """
    for folder in (PACKAGE / "recipe", PACKAGE.parent):
        if (folder / "train.py").is_file() and (folder / "hparams").is_dir():
            return folder
    raise UserError(
        f"{PACKAGE}: no train.py and hparams in its 'recipe' folder or next to "
        "it; install the wheel, or run pip install -e . in a clone"
    )


def experiment_names():
    """Return the names of the experiments in ``hparams``.

    Returns
    -------
    list of str
        Names such as ``pa`` or ``compact/vocoder``.

    Example
    -------
    >>> "pa" in experiment_names(), "compact/vocoder" in experiment_names()
    (True, True)
    """
    hparams = recipe_folder() / "hparams"
    return [
        path.relative_to(hparams).with_suffix("").as_posix()
        for path in sorted(hparams.rglob("*.yaml"))
        if "models" not in path.relative_to(hparams).parts
    ]


def find_experiment(name):
    """Return the path of an experiment's YAML.

    Arguments
    ---------
    name : str
        A YAML file, or a name returned by ``experiment_names``.

    Raises
    ------
    UserError
        If there is no such experiment. The message lists the names.
    """
    if name.endswith(YAML_SUFFIXES) and Path(name).is_file():
        return Path(name)
    names = experiment_names()
    if name in names:
        return recipe_folder() / "hparams" / f"{name}.yaml"
    raise UserError(
        f"{name}: expected a YAML file or one of {', '.join(names)}"
    )


def train_command(hparams_file):
    """Return the command that trains an experiment.

    Arguments
    ---------
    hparams_file : str or Path
        The YAML file.

    Returns
    -------
    list of str
        ``python train.py YAML`` or ``miipher2 train NAME|YAML``.
    """
    script = sys.argv[0]
    if Path(script).name == "train.py":
        return ["python", script, str(hparams_file)]
    for name in experiment_names():
        if find_experiment(name) == Path(hparams_file).absolute():
            return ["miipher2", "train", name]
    return ["miipher2", "train", str(hparams_file)]


def train(experiment, options):
    """Run ``train.py``.

    Arguments
    ---------
    experiment : str
        A YAML file, or a name returned by ``experiment_names``.
    options : list of str
        Overrides of the YAML's keys, and SpeechBrain's run options.

    Raises
    ------
    UserError
        If there is no such experiment; see also ``train.py``.
    """
    path = find_experiment(experiment)
    script = recipe_folder() / "train.py"
    spec = importlib.util.spec_from_file_location("train", script)
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module  # SpeechBrain copies it to the output folder
    spec.loader.exec_module(module)
    module.main([str(path), *options])
