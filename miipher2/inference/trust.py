"""Protection against arbitrary code in a model's YAML.

HyperPyYAML calls any function that a YAML file names. A model folder may come
from an untrusted source, so every tag of its YAML is checked before loading.

Authors
 * The miipher2 authors 2026
"""

import inspect
import pydoc
import sys
from pathlib import Path
from typing import Any

import ruamel.yaml
import torch
import transformers
import yaml
from hyperpyyaml import resolve_references
from speechbrain.utils.parameter_transfer import Pretrainer

from miipher2.dataio.hparams import yaml_errors
from miipher2.errors import UserError

# Packages whose torch modules and model configs are allowed. Other classes in
# these packages can download files or run code in their constructors.
PACKAGES = (
    "miipher2.",
    "speechbrain.lobes.",
    "speechbrain.nnet.",
    "torch.nn.",
    "torchaudio.models.",
    "torchaudio.transforms.",
    "transformers.",
)
FUNCTIONS = ("miipher2.models.vocoders.base.build_vocoder",)
PLAIN_TAGS = ("!ref", "!copy", "!tuple", "!PLACEHOLDER")
PLAIN_YAML = "tag:yaml.org,2002:"  # plain YAML; tags with python are rejected


def check_yaml(
    path: str | Path,
    overrides: dict[str, Any] | None = None,
    text: str | None = None,
) -> None:
    """Check that a YAML file cannot run arbitrary code.

    Plain values and references to keys are allowed, as are the torch modules
    and model configs in ``PACKAGES``, SpeechBrain's ``Pretrainer`` and the
    functions in ``FUNCTIONS``.

    Arguments
    ---------
    path : str or Path
        The YAML file.
    overrides : dict
        The overrides with which the YAML will be loaded.
    text : str
        YAML to check instead of the file's content. None to read the file.

    Raises
    ------
    UserError
        If the YAML contains anything else or is invalid.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hyperparams.yaml"
    >>> _ = path.write_text("generator: !apply:os.system [reboot]")
    >>> check_yaml(path)
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: ...contains !apply:os.system, ...
    """
    with yaml_errors(path):
        if text is None:
            text = Path(path).read_text("utf-8")
        # Check before resolving references, which runs !include and !applyref,
        # and again afterwards, because references can create new tags.
        _check(path, text)
        _check(path, resolve_references(text, overrides).getvalue())


def _check(path, text):
    """Raise a ``UserError`` if a YAML document has a forbidden node."""
    waiting, checked = [yaml.compose(text, Loader=ruamel.yaml.Loader)], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in checked:
            continue
        checked.add(id(node))
        refused = _refused(node)
        if refused:
            raise UserError(
                f"{path}: contains {refused}, which is not allowed; expected "
                "only torch modules and configs; if you trust the author, use "
                "--trust-model (in Python: trust_model=True)"
            )
        if isinstance(node.value, list):
            for child in node.value:
                waiting += child if isinstance(child, tuple) else [child]


def _refused(node):
    """Return the part of a node that is not allowed, or None."""
    tag = str(node.tag)
    if isinstance(node.value, str):
        # HyperPyYAML loads the text of a tuple as YAML, which can call any
        # function.
        is_tuple = tag == "!tuple" or node.value.startswith("(")
        if is_tuple and "!" in node.value:
            return node.value
        # References to attributes could reach any object.
        if tag in ("!ref", "!copy") and "." in "".join(
            part.partition(">")[0] for part in node.value.split("<")[1:]
        ):
            return f"{tag} {node.value}"
    kind, _, name = tag.partition(":")
    if tag in PLAIN_TAGS:
        return None
    if tag.startswith(PLAIN_YAML) and "python" not in tag:
        return None
    if kind == "!apply" and name in FUNCTIONS:
        return None
    if kind in ("!new", "!name") and _is_allowed_class(name):
        return None
    return tag


def _is_allowed_class(name: str) -> bool:
    """Return whether a name denotes a module, a config or the Pretrainer.

    A dotted name can lead to another package (``torch.nn.functional.os``), so
    the class to which it leads is checked, too.
    """
    if not name.startswith((*PACKAGES, "speechbrain.utils.parameter_transfer")):
        return False
    try:
        found = pydoc.locate(name)
    except pydoc.ErrorDuringImport as error:
        cause = error.value
        if isinstance(cause, KeyboardInterrupt):
            raise cause from None
        advice = ""
        if sys.flags.optimize > 1:
            advice = (
                "; transformers needs its docstrings, which PYTHONOPTIMIZE=2 "
                "and python -OO remove: use PYTHONOPTIMIZE=1"
            )
        reason = str(cause).strip().partition("\n")[0]
        raise UserError(
            f"{name}: cannot be imported: {reason}{advice}"
        ) from None
    if not inspect.isclass(found):
        return False
    return found is Pretrainer or (
        found.__module__.startswith(PACKAGES)
        and issubclass(found, (torch.nn.Module, transformers.PreTrainedConfig))
    )
