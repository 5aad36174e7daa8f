"""Files of weights: safetensors with the identity of the model.

Loading runs no code, and weights of another model raise a ``UserError``.

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
    """Write tensors with their identity to a file, atomically.

    Arguments
    ---------
    path : str or Path
        The file to write.
    tensors : dict
        Tensor by name.
    identity : dict
        Identity of the model as plain values, which are checked when loading.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in tensors.items()
    }
    with atomic_write(path) as file:
        file.write(save(tensors, {"identity": json.dumps(identity)}))


def load_weights(path):
    """Read a file written by ``save_weights``.

    Arguments
    ---------
    path : str or Path
        The file to read.

    Returns
    -------
    tensors : dict
        Tensor by name, on the CPU.
    identity : dict
        The identity passed to ``save_weights``; empty if the file has none.

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
        raise UserError(f"{path}: weights file not found") from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: not a complete safetensors file ({error}); "
            "copy or train it again"
        ) from None
    return tensors, json.loads(metadata.get("identity", "{}"))


def fill(module, tensors, path, names=None):
    """Load tensors into a module and check names and shapes.

    Arguments
    ---------
    module : torch.nn.Module
        The module, whose parameters are overwritten.
    tensors : dict
        Tensor by name.
    path : str or Path
        The file of the tensors, for the error message.
    names : list of str
        Names of the tensors to load. None for all tensors of the module.

    Raises
    ------
    UserError
        If a tensor is missing, unexpected or of another shape. The message
        names the first such tensor with both shapes.
    """
    own = module.state_dict()
    names = own.keys() if names is None else set(names)
    for name in sorted(names | tensors.keys()):
        expected = tuple(own[name].shape) if name in names else "missing"
        found = tuple(tensors[name].shape) if name in tensors else "missing"
        if expected != found:
            raise UserError(
                f"{path}: trained with other settings: {name} is {found} in "
                f"the file and {expected} in the {type(module).__name__} of "
                "this YAML; use the YAML it was trained with"
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

    #: Parts of tensor names in files of earlier versions -> current ones.
    renamed_tensors = {}

    def identity(self):
        """Return the identity of the model.

        Returns
        -------
        dict
            Plain values, which are written to the file.
        """
        return {}

    def check(self, identity, path):
        """Raise a UserError if weights belong to another model.

        Arguments
        ---------
        identity : dict
            Identity in the file.
        path : str or Path
            The file, for the error message.
        """

    @mark_as_saver
    def save(self, path):
        """Write the weights.

        Arguments
        ---------
        path : str or Path
            The file to write.
        """
        save_weights(path, self.state_dict(), self.identity())

    @mark_as_loader
    def load(self, path, end_of_epoch=True):
        """Read weights written by ``save``.

        Arguments
        ---------
        path : str or Path
            The file to read.
        end_of_epoch : bool
            Not used; passed by SpeechBrain.

        Raises
        ------
        UserError
            If the weights belong to another model.
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
        """Read weights for inference or further training.

        Arguments
        ---------
        path : str or Path
            The file to read.
        """
        self.load(path)


def halve(folder):
    """Rewrite a model's weights in half precision.

    Arguments
    ---------
    folder : str or Path
        Folder whose ``*.safetensors`` are rewritten, including subfolders.
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
