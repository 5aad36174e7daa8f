"""Weights on disk: safetensors with a word about what they belong to.

Every checkpoint and every released file of this package goes through the
functions here, so that loading never runs foreign code and a file of another
model is refused with one line instead of a list of shapes.

Authors
 * The miipher2 authors 2026
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    mark_as_transfer,
    register_checkpoint_hooks,
)
from torch import nn

from miipher2.dataio.atomic import atomic_write
from miipher2.errors import UserError


def save_weights(path, tensors, identity):
    """Writes tensors with their identity, whole or not at all.

    Arguments
    ---------
    path : str or Path
        The file to write.
    tensors : dict
        Name -> tensor.
    identity : dict
        What the tensors belong to: plain values, checked by the loader.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in tensors.items()
    }
    with atomic_write(path) as file:
        file.write(save(tensors, {"identity": json.dumps(identity)}))


def load_weights(path):
    """Reads what ``save_weights`` wrote.

    Arguments
    ---------
    path : str or Path
        The file to read.

    Returns
    -------
    tensors : dict
        Name -> tensor, on the CPU.
    identity : dict
        As given to ``save_weights``; empty for a file without it.

    Raises
    ------
    UserError
        If the file is missing or not a safetensors file.

    Example
    -------
    >>> import torch
    >>> folder = getfixture("tmpdir")
    >>> save_weights(folder / "a.safetensors", {"w": torch.ones(2)}, {"width": 2})
    >>> tensors, identity = load_weights(folder / "a.safetensors")
    >>> tensors["w"].tolist(), identity
    ([1.0, 1.0], {'width': 2})
    """
    try:
        with safe_open(str(path), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of weights") from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: not a complete safetensors file ({error}); "
            "copy or train it again"
        ) from None
    return tensors, json.loads(metadata.get("identity", "{}"))


def fill(module, tensors, path, names=None):
    """Loads tensors into a module, or says in one line what differs.

    Arguments
    ---------
    module : torch.nn.Module
        Its parameters are overwritten.
    tensors : dict
        Name -> tensor; exactly these names, in the module's shapes.
    path : str or Path
        Named in the error.
    names : list of str
        What is to be loaded of the module's ``state_dict``; None: all of it.

    Raises
    ------
    UserError
        If a tensor is missing, left over or of another shape: the first one
        is named with both shapes.
    """
    own = module.state_dict()
    names = own.keys() if names is None else set(names)
    for name in sorted(names | tensors.keys()):
        here = tuple(own[name].shape) if name in names else "not there"
        there = tuple(tensors[name].shape) if name in tensors else "not there"
        if here != there:
            raise UserError(
                f"{path}: made with other settings: {name} is {there} in the "
                f"file and {here} in the {type(module).__name__} of this YAML; "
                "use the YAML it was trained with"
            )
    module.load_state_dict({**own, **tensors})


@register_checkpoint_hooks
class SavedModule(nn.Module):
    """A module whose SpeechBrain checkpoints are safetensors.

    Example
    -------
    >>> class Scale(SavedModule):
    ...     def __init__(self, width):
    ...         super().__init__()
    ...         self.scale = nn.Parameter(torch.ones(width))
    >>> import torch
    >>> path = getfixture("tmpdir") / "a.safetensors"
    >>> Scale(2).save(path)
    >>> Scale(2).load(path)
    """

    #: Parts of tensor names in files of earlier versions -> today's.
    renamed_tensors = {}

    def identity(self):
        """What the weights belong to: plain values.

        Returns
        -------
        dict
            Written into the file.
        """
        return {}

    def check(self, identity, path):
        """Refuses weights that belong to something else.

        Arguments
        ---------
        identity : dict
            Of the weights.
        path : str or Path
            For the error.
        """

    @mark_as_saver
    def save(self, path):
        """Writes the weights.

        Arguments
        ---------
        path : str or Path
            The file to write.
        """
        save_weights(path, self.state_dict(), self.identity())

    @mark_as_loader
    def load(self, path, end_of_epoch=True):
        """Reads weights that ``save`` wrote.

        Arguments
        ---------
        path : str or Path
            The file to read.
        end_of_epoch : bool
            Not used; SpeechBrain passes it.

        Raises
        ------
        UserError
            If they belong to something else.
        """
        tensors, identity = load_weights(path)
        self.check(identity, path)
        for old, new in self.renamed_tensors.items():
            tensors = {
                name.replace(old, new, 1): tensor
                for name, tensor in tensors.items()
            }
        fill(self, tensors, path)

    @mark_as_transfer
    def transfer(self, path):
        """Reads weights for inference, or to go on from.

        Arguments
        ---------
        path : str or Path
            The file to read.
        """
        self.load(path)


def halve(folder):
    """Rewrites a model's weights in half precision.

    Arguments
    ---------
    folder : str or Path
        Every ``*.safetensors`` in it and below becomes half as large.
    """
    for path in sorted(Path(folder).rglob("*.safetensors")):
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            tensors = {
                name: (tensor.half() if tensor.is_floating_point() else tensor)
                for name in file.keys()
                for tensor in [file.get_tensor(name)]
            }
        with atomic_write(path) as file:
            file.write(save(tensors, metadata))
