"""What a process does of a run, and on which device.

Authors
 * The miipher2 authors 2026
"""

import os

import torch

from miipher2.errors import UserError


def part(arguments):
    """Which part of the work this process does.

    ``torchrun`` splits the part that the arguments name further: a GPU for
    each process, which know nothing of each other.

    Arguments
    ---------
    arguments : argparse.Namespace
        With ``num_shards`` and ``shard_index``.

    Returns
    -------
    shard : int
        The part.
    num_shards : int
        Of how many.

    Raises
    ------
    UserError
        If there is no such part.

    Example
    -------
    >>> import argparse
    >>> part(argparse.Namespace(num_shards=4, shard_index=3))
    (3, 4)
    """
    index, count = arguments.shard_index, arguments.num_shards
    if not 0 <= index < count:
        raise UserError(
            f"--shard-index {index}: expected 0 to {count - 1}, as there are "
            f"{count} --num-shards"
        )
    processes = int(os.environ.get("WORLD_SIZE", 1))
    rank = int(os.environ.get("RANK", 0))
    return index * processes + rank, count * processes


def load(arguments):
    """Loads the model onto the device of this process.

    Arguments
    ---------
    arguments : argparse.Namespace
        With ``model``, ``trust_model``, ``device`` and ``precision``.

    Returns
    -------
    Restorer
        Ready to restore.

    Raises
    ------
    UserError
        If there is no such device.
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
    """Whether a device is there.

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
        # makes something there: names alone are accepted for any number
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"--device {name}: not to be had; there are cpu and "
            f"{torch.cuda.device_count()} CUDA devices, one for each process "
            f"({reason})"
        ) from None


def best_precision(device):
    """The fastest precision that a device has units for.

    Arguments
    ---------
    device : str
        ``cpu``, ``cuda:0``, ...

    Returns
    -------
    str
        ``bf16``, ``fp16`` or ``fp32``.

    Example
    -------
    >>> best_precision("meta")
    'fp32'
    """
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(False) else "fp16"
    if device == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        units = torch.cpu.get_capabilities()
        if units.get("amx_bf16") or units.get("avx512_bf16"):
            return "bf16"
    return "fp32"
