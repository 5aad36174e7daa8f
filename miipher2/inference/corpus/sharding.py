"""Shard assignment and device selection.

Authors
 * The miipher2 authors 2026
"""

import os

import torch

from miipher2.errors import UserError
from miipher2.inference.precision import best_precision


def shard_assignment(arguments):
    """Return the shard of this process.

    ``torchrun`` splits the shard of the command line further, into one for
    each of its processes. Processes do not communicate.

    Arguments
    ---------
    arguments : argparse.Namespace
        With ``num_shards`` and ``shard_index``.

    Returns
    -------
    shard : int
        Index of the shard.
    num_shards : int
        Number of shards.

    Raises
    ------
    UserError
        If the index is out of range.

    Example
    -------
    >>> import argparse
    >>> shard_assignment(argparse.Namespace(num_shards=4, shard_index=3))
    (3, 4)
    """
    index, count = arguments.shard_index, arguments.num_shards
    if not 0 <= index < count:
        raise UserError(
            f"--shard-index {index}: expected 0 to {count - 1} for "
            f"--num-shards {count}"
        )
    processes = int(os.environ.get("WORLD_SIZE", 1))
    rank = int(os.environ.get("RANK", 0))
    return index * processes + rank, count * processes


def load_restorer(arguments):
    """Load the model onto the device of this process.

    Arguments
    ---------
    arguments : argparse.Namespace
        With ``model``, ``trust_model``, ``device`` and ``precision``.

    Returns
    -------
    Restorer
        The model, ready for inference.

    Raises
    ------
    UserError
        If the device is not available.
    """
    from miipher2.inference.restorer import Restorer

    device = arguments.device
    if device is None:
        local_rank = int(os.environ.get("LOCAL_RANK", 0))
        device = f"cuda:{local_rank}" if torch.cuda.is_available() else "cpu"
    check_device(device)
    precision = arguments.precision or best_precision(device)
    return Restorer.from_hparams(
        arguments.model,
        trust_model=arguments.trust_model,
        run_opts={"device": device, "precision": precision},
    )


def check_device(name):
    """Check that a device is available.

    Arguments
    ---------
    name : str
        ``cpu``, ``cuda:0``, ...

    Raises
    ------
    UserError
        If it is not.

    Example
    -------
    >>> check_device("cpu")
    """
    try:
        # Allocate a tensor, as torch.device alone accepts any index.
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        count = torch.cuda.device_count()
        available = ["cpu", *(f"cuda:{index}" for index in range(count))]
        raise UserError(
            f"--device {name}: not available; available: "
            f"{', '.join(available)} ({reason})"
        ) from None
