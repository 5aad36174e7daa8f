"""What a model's YAML may name: nothing that could run foreign code.

HyperPyYAML calls whatever a file names. Before a model folder that may come
from anywhere is loaded, every tag of its YAML is looked at here.

Authors
 * The miipher2 authors 2026
"""

import inspect
import pydoc
from pathlib import Path

import ruamel.yaml
import torch
import transformers
import yaml
from hyperpyyaml import resolve_references
from speechbrain.utils.parameter_transfer import Pretrainer

from miipher2.dataio.hparams import yaml_errors
from miipher2.errors import UserError

# Where classes may come from. The rest of these packages has classes that
# fetch and run things when they are made.
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
PLAIN_YAML = "tag:yaml.org,2002:"  # python/... of it is not plain


def check_yaml(path, overrides=None):
    """Makes sure that a model's YAML names only what models are made of.

    Arguments
    ---------
    path : str or Path
        The YAML file.
    overrides : dict
        What it will be loaded with.

    Raises
    ------
    UserError
        If it names anything else or is no YAML.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hyperparams.yaml"
    >>> _ = path.write_text("generator: !apply:os.system [reboot]")
    >>> check_yaml(path)
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: ...names !apply:os.system, ...
    """
    with yaml_errors(path):
        text = Path(path).read_text("utf-8")
        # As it stands: includes and !applyref run while it is resolved. Then
        # resolved, as references can put together what was not there before.
        _check(path, text)
        _check(path, resolve_references(text, overrides).getvalue())


def _check(path, text):
    waiting, seen = [yaml.compose(text, Loader=ruamel.yaml.Loader)], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        bad = _refused(node)
        if bad:
            raise UserError(
                f"{path}: names {bad}, which is not what a model is made of; "
                "if you trust whoever made it, give --trust-model (in Python: "
                "trust_model=True)"
            )
        if isinstance(node.value, list):
            for child in node.value:
                waiting += child if isinstance(child, tuple) else [child]


def _refused(node):
    """What is wrong with a node, or None."""
    tag = str(node.tag)
    if isinstance(node.value, str):
        # A tuple's text is loaded again, as YAML that may call anything.
        is_tuple = tag == "!tuple" or node.value.startswith("(")
        if is_tuple and "!" in node.value:
            return node.value
        # An attribute of something that was made may be anything.
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
    if kind in ("!new", "!name") and _is_part_of_models(name):
        return None
    return tag


def _is_part_of_models(name):
    """Whether a name is that of a module, of a config or of the Pretrainer.

    Names lead to other places, too (``torch.nn.functional.os``), so that what
    is found is asked where it is from.
    """
    if not name.startswith((*PACKAGES, "speechbrain.utils.parameter_transfer")):
        return False
    try:
        found = pydoc.locate(name)
    except pydoc.ErrorDuringImport as error:
        if not isinstance(error.value, Exception):  # Ctrl-C is no fault of it
            raise error.value from None
        return False
    if not inspect.isclass(found):
        return False
    return found is Pretrainer or (
        found.__module__.startswith(PACKAGES)
        and issubclass(found, (torch.nn.Module, transformers.PreTrainedConfig))
    )
