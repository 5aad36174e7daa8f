"""Checks for resuming a run with the same settings and data.

Every checkpoint stores the settings and hashes of the data. A run is resumed
with other settings or data only if the user requests it.

Authors
 * The miipher2 authors 2026
"""

import json
from pathlib import Path

import yaml
from hyperpyyaml.core import recursive_update
from speechbrain.utils.checkpoints import METAFNAME
from speechbrain.utils.logger import get_logger

from miipher2.dataio.digest import file_digest
from miipher2.errors import UserError
from miipher2.training.experiment import find_cleaner
from miipher2.training.overrides import read_yaml, yaml_tag

logger = get_logger(__name__)

RUN = "run"  # key in the meta file of a checkpoint

# Keys that may change when a run is resumed, such as its length, paths and
# loggers. The contents of manifests are compared, not their paths.
FREE = {
    "cleaner_folder",
    "ckpt_interval_minutes",
    "data_folder",
    "evaluate",
    "evaluation",
    "export_half",
    "grad_accumulation_factor",
    "logger",
    "loggers",
    "max_steps",
    "minutes",
    "noise_folder",
    "num_workers",
    "output_folder",
    "prepare",
    "resume_with_other_data",
    "rir_folder",
    "save_folder",
    "skip_bad_clips",
    "skip_prep",
    "ssl_source",
    "start_folder",
    "train_log",
    "valid_clips",
    "valid_interval",
    "valid_samples",
}


def run_settings(hparams_file, overrides):
    """Return the settings that must not change when a run is resumed.

    Arguments
    ---------
    hparams_file : str
        The YAML file of the experiment.
    overrides : dict
        New values of top-level keys.

    Returns
    -------
    dict
        Values as text, by key. References are not resolved, so a warm-up of
        ``<max_steps> // 100`` is equal for any ``max_steps``. The value of a
        key that names a class or function is only this name, unless the key is
        overridden.

    Example
    -------
    >>> path = getfixture("tmpdir") / "a.yaml"
    >>> _ = path.write("batch_size: 4\\nlr: 0.1\\nmax_steps: 5")
    >>> run_settings(str(path), {"lr": 0.2})
    {'batch_size': '4', 'lr': '0.2'}
    """
    tree = read_yaml(hparams_file)
    recursive_update(tree, overrides)
    folder = Path(hparams_file).absolute().parent
    return {
        key: json.dumps(_plain(value, folder, key in overrides))
        for key, value in tree.items()
        if key not in FREE and not key.startswith("__") and "csv" not in key
    }


def _plain(node, folder, arguments=True):
    """Return a YAML node as plain data, with tags and included files."""
    tag = yaml_tag(node)
    if tag.startswith("!include:"):
        path = folder / tag.removeprefix("!include:")
        return [_plain(read_yaml(path), path.parent), _content(node, folder)]
    if tag and isinstance(node, dict) and not arguments:
        return tag
    content = _content(node, folder)
    return [tag, content] if tag else content


def _content(node, folder):
    if isinstance(node, dict):
        return {str(k): _plain(v, folder) for k, v in node.items()}
    if isinstance(node, list):
        return [_plain(value, folder) for value in node]
    node = getattr(node, "value", node)  # value of a scalar with a tag
    return node if isinstance(node, int | float | None) else str(node)


def data_digests(hparams):
    """Return hashes of the manifests and the adapters of an experiment.

    Arguments
    ---------
    hparams : dict
        The experiment. The values of keys that end in ``_csv`` are paths of
        manifests.

    Returns
    -------
    dict
        SHA-256 hashes by key, without the test manifest. The value of
        ``cleaner_folder`` is the hash of the adapters.
    """
    files = {
        key: path
        for key, path in hparams.items()
        if key.endswith("_csv") and key != "test_csv" and path is not None
    }
    if hparams.get("cleaner_folder") is not None:
        files["cleaner_folder"] = find_cleaner(hparams["cleaner_folder"])
    return {key: file_digest(path) for key, path in files.items()}


def check_resumed(save_folder, name, current, allowed):
    """Compare the settings or the data with the latest checkpoint.

    Arguments
    ---------
    save_folder : str or Path
        Folder of the checkpoints, which may be missing.
    name : str
        ``settings`` or ``data``.
    current : dict
        Result of ``run_settings`` or ``data_digests``.
    allowed : bool
        Whether the run may continue with differences, which are logged.

    Raises
    ------
    UserError
        If there are differences and ``allowed`` is False. The message names the
        keys.
    """
    saved = _latest(save_folder).get(name, {})
    differing = [
        _difference(key, saved[key], current[key])
        for key in current
        if key in saved and saved[key] != current[key]
    ]
    if not differing:
        return
    keys = ", ".join(differing)
    message = f"{save_folder}: belongs to a run with other {name}: {keys}"
    if not allowed:
        raise UserError(
            f"{message}; give --output_folder=FOLDER to start a new run, or "
            "--resume_with_other_data=True to continue with the new values"
        )
    logger.warning(f"{message}; continued with the new values")


def _difference(key, saved, current):
    values = f"{key} {saved} (now {current})"
    return values if len(values) < 60 else key


def _latest(save_folder):
    """Return the ``RUN`` entry of the latest checkpoint; {} without one."""
    runs = [(0.0, {})]
    for path in Path(save_folder).glob(f"CKPT+*/{METAFNAME}"):
        try:
            meta = yaml.safe_load(path.read_text("utf-8"))
            runs.append((meta["unixtime"], meta.get(RUN, {})))
        except (
            ValueError,
            yaml.YAMLError,
            AttributeError,
            KeyError,
            TypeError,
        ):
            continue  # a damaged checkpoint is renamed when the run is resumed
    return max(runs, key=lambda run: run[0])[1]
