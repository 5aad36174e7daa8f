"""Weights files: safetensors with metadata that identify the model.

Loading a file runs no code. If its tensors or metadata do not fit the model, a
``UserError`` is raised.

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
    """Write tensors and metadata to a file, atomically.

    Arguments
    ---------
    path : str or Path
        The file to write.
    tensors : dict
        Tensors by name.
    identity : dict
        JSON-serialisable values that identify the model.
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
        Tensors by name, on the CPU.
    identity : dict
        The ``identity`` passed to ``save_weights``, or an empty dict if the
        file was written by other software.

    Raises
    ------
    UserError
        If the file is missing, cannot be read as safetensors, or has invalid
        metadata.

    Example
    -------
    >>> import torch
    >>> folder = getfixture("tmpdir")
    >>> path = folder / "a.safetensors"
    >>> save_weights(path, {"w": torch.ones(2)}, {"width": 2})
    >>> tensors, identity = load_weights(path)
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
            f"{path}: cannot be read as safetensors ({error}); "
            "copy the file again or repeat the training"
        ) from None
    try:
        return tensors, json.loads(metadata.get("identity", "{}"))
    except ValueError:
        raise UserError(
            f"{path}: the metadata 'identity' is not JSON; expected a file "
            "written by miipher2"
        ) from None


def fill(module, tensors, path, names=None):
    """Check the names and shapes of tensors and load them into a module.

    Arguments
    ---------
    module : torch.nn.Module
        The module, whose tensors are overwritten.
    tensors : dict
        Tensors by name.
    path : str or Path
        The file that contains the tensors, for the error message.
    names : list of str
        Names of the tensors to load. None for all tensors of the module.

    Raises
    ------
    UserError
        If a tensor is missing, unexpected or of the wrong shape. The message
        names the first such tensor, with its expected and its actual shape.
    """
    own = module.state_dict()
    names = own.keys() if names is None else set(names)
    for name in sorted(names | tensors.keys()):
        expected = tuple(own[name].shape) if name in names else "missing"
        found = tuple(tensors[name].shape) if name in tensors else "missing"
        if expected != found:
            raise UserError(
                f"{path}: trained with other settings: {name} is {found} in "
                f"the file, but {expected} in the {type(module).__name__} of "
                "this YAML; use the YAML of the training run"
            )
    module.load_state_dict({**own, **tensors})


@register_checkpoint_hooks
class SavedModule(nn.Module):
    """A module whose SpeechBrain checkpoints are safetensors files.

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

    #: Maps parts of tensor names in earlier versions to their current names.
    renamed_tensors = {}

    def identity(self):
        """Return the values that identify the model.

        Returns
        -------
        dict
            JSON-serialisable values, which are written to the file.
        """
        return {}

    def check(self, identity, path):
        """Raise a ``UserError`` if the weights belong to another model.

        By default, nothing is checked; subclasses can override this method.

        Arguments
        ---------
        identity : dict
            Values from the file that identify its model.
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
            If the file cannot be read, or its weights belong to another model.
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
    """Convert a model's weights files to half precision.

    Arguments
    ---------
    folder : str or Path
        Folder whose ``*.safetensors`` files are overwritten, including the
        files in its subfolders.
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
