"""Overrides of the keys of an experiment: parsing, checks and help texts.

Authors
 * The miipher2 authors 2026
"""

import difflib
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import resolve_references

from miipher2.dataio.hparams import yaml_errors
from miipher2.errors import UserError
from miipher2.training.yaml_keys import yaml_keys


def parse_overrides(overrides):
    """Parse the overrides of a command line.

    Arguments
    ---------
    overrides : str
        YAML, as returned by SpeechBrain's ``parse_arguments``.

    Returns
    -------
    dict
        New values by key. YAML tags are kept.

    Raises
    ------
    UserError
        If a key is given twice, or if the text is not valid YAML.

    Example
    -------
    >>> parse_overrides("lr: 0.1")
    {'lr': 0.1}
    """
    with yaml_errors("the command line"):
        try:
            return ruamel.yaml.YAML().load(overrides or "{}")
        except ruamel.yaml.constructor.DuplicateKeyError as error:
            line = overrides.splitlines()[error.problem_mark.line]
            key = line.partition(":")[0]
            raise UserError(f"--{key}: given twice; give it once") from None


def read_yaml(path):
    """Read a YAML file without building objects; tags are kept."""
    with yaml_errors(path):
        return ruamel.yaml.YAML().load(Path(path).read_text("utf-8"))


def resolved_yaml(hparams_file, overrides=None):
    """Read an experiment with resolved references, without building objects.

    Arguments
    ---------
    hparams_file : str
        The YAML file.
    overrides : str or dict
        New values of top-level keys.

    Returns
    -------
    dict
        Values by key. YAML tags, such as ``!new:``, are kept.
    """
    with yaml_errors(hparams_file), open(hparams_file, encoding="utf-8") as f:
        return ruamel.yaml.YAML().load(resolve_references(f, overrides))


def check_overrides(hparams_file, overrides):
    """Check names and types of overrides against the YAML.

    Arguments
    ---------
    hparams_file : str
        The YAML file.
    overrides : dict
        Values by top-level key.

    Raises
    ------
    UserError
        If a key is unknown, at the top level or in a mapping; the message names
        a similar key if there is one. Also raised if the default is a number or
        a boolean and the value has another type (null and values with a YAML
        tag are accepted), if a mapping is given for a single value, or if a key
        of an older version of this package is used.

    Example
    -------
    >>> path = getfixture("tmpdir") / "a.yaml"
    >>> _ = path.write("batch_size: 4")
    >>> check_overrides(str(path), {"batch_size": "ten"})
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: --batch_size=ten: expected a whole number
    """
    tree = read_yaml(hparams_file)
    if "tensorboard" in tree:
        raise UserError(
            f"{hparams_file}: the 'tensorboard' key was replaced; remove it, "
            "and copy the 'logger' and 'loggers' keys and the 'logger' "
            "argument of 'brain' from hparams/pa.yaml"
        )
    if "tensorboard" in overrides:
        raise UserError("--tensorboard: use --logger=tensorboard instead")
    _check_names("--", overrides, tree, hparams_file)
    placeholders = {
        key: ""
        for key, value in tree.items()
        if yaml_tag(value) == "!PLACEHOLDER"
    }
    defaults = resolved_yaml(hparams_file, placeholders)
    for key, value in overrides.items():
        if isinstance(value, dict) and not isinstance(tree[key], dict):
            raise UserError(f"--{key}: expected one value, found a mapping")
        _check_type(key, value, defaults[key])


def _check_names(prefix, overrides, node, path):
    """Check the keys of a mapping and of nested mappings."""
    known = dict(node)
    tag = yaml_tag(node)
    if tag.startswith("!include:"):
        path = Path(path).absolute().parent / tag.removeprefix("!include:")
        known = {**read_yaml(path), **known}
    elif tag:
        return  # arguments of a class are checked by the class
    for name, value in overrides.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = (
                f"did you mean {prefix}{near[0]}?"
                if near
                else "--help lists the keys"
            )
            raise UserError(f"{prefix}{name}: no such key in {path}; {hint}")
        if isinstance(value, dict) and isinstance(known[name], dict):
            _check_names(f"{prefix}{name}.", value, known[name], path)


def _check_type(key, value, default):
    if yaml_tag(value) or default is None or value is None:
        return
    for kind, accepted, expected in (
        (bool, bool, "True or False"),
        (int, int, "a whole number"),
        (float, (int, float), "a number"),
    ):
        if isinstance(default, kind):
            valid = isinstance(value, accepted)
            if not valid or isinstance(value, bool) != (kind is bool):
                raise UserError(f"--{key}={value}: expected {expected}")
            return


def yaml_tag(node):
    """Return the tag of a node, such as ``!new:torch.nn.Linear``, or ""."""
    tag = getattr(node, "tag", None)
    value = str(getattr(tag, "value", None) or "")
    return value if value.startswith("!") else ""


def describe_keys(hparams_file):
    """Return the help text of an experiment: its keys with their comments.

    Arguments
    ---------
    hparams_file : str
        The YAML file.

    Returns
    -------
    str
        For each key, a line with its default and a line with its comment.

    Example
    -------
    >>> path = getfixture("tmpdir") / "a.yaml"
    >>> _ = path.write("# Learning rate\\nlr: 0.1\\nbatch_size: 4  # clips")
    >>> print(describe_keys(str(path)))
    --lr=0.1
        Learning rate
    --batch_size=4
        clips
    """
    with yaml_errors(hparams_file):
        keys = yaml_keys(hparams_file)
    return "\n".join(
        f"--{key.name}={key.value}\n    {key.comment}" for key in keys
    )
