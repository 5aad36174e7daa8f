"""Split an encoder's weights into several files of limited size.

Authors
 * The miipher2 authors 2026
"""

import json
from pathlib import Path

from safetensors.torch import save

from miipher2.dataio.atomic import atomic_write, write_text
from miipher2.errors import UserError
from miipher2.models.weights import load_weights

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def split_weights(folder, max_bytes):
    """Replace ``model.safetensors`` with shards and an index.

    transformers can read either format.

    Arguments
    ---------
    folder : str or Path
        The folder of the encoder. The shards are written to it as
        ``model-00001-of-0000N.safetensors`` and so on.
    max_bytes : int
        Maximum size of a shard in bytes, excluding a header of a few kilobytes.

    Returns
    -------
    list of Path
        Paths of the shards.

    Raises
    ------
    UserError
        If the weights cannot be read, or a tensor is larger than ``max_bytes``.

    Example
    -------
    >>> import torch
    >>> from safetensors.torch import save_file
    >>> folder = getfixture("tmp_path")
    >>> tensors = {name: torch.zeros(100) for name in "abc"}
    >>> save_file(tensors, folder / WEIGHTS)
    >>> [path.name for path in split_weights(folder, 800)]
    ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']
    """
    path = Path(folder, WEIGHTS)
    tensors, _ = load_weights(path)
    sizes = {n: t.numel() * t.element_size() for n, t in tensors.items()}
    paths, shard_of = [], {}
    groups = _group(sizes, max_bytes, path)
    for number, names in enumerate(groups, 1):
        shard = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        paths.append(path.with_name(shard))
        with atomic_write(paths[-1]) as file:
            group = {name: tensors[name] for name in names}
            file.write(save(group, {"format": "pt"}))
        shard_of |= dict.fromkeys(names, shard)
    index = {
        "metadata": {"total_size": sum(sizes.values())},
        "weight_map": shard_of,
    }
    write_text(path.with_name(INDEX), json.dumps(index, indent=1) + "\n")
    path.unlink()
    return paths


def _group(sizes, max_bytes, path):
    """Group the names of tensors that together take at most ``max_bytes``."""
    groups, total = [[]], 0
    for name, size in sizes.items():
        if size > max_bytes:
            raise UserError(
                f"{path}: {name} takes {size} bytes, more than max_bytes="
                f"{max_bytes}; increase max_bytes"
            )
        if total + size > max_bytes:
            groups.append([])
            total = 0
        groups[-1].append(name)
        total += size
    return groups
