"""Shard assignment and model loading for the processes of a run.

Authors
 * The miipher2 authors 2026
"""

import logging
import os

from miipher2.errors import UserError
from miipher2.inference.devices import choose_device, run_once
from miipher2.inference.precision import best_precision

logger = logging.getLogger("miipher2.inference")


def shard_assignment(arguments):
    """Return the shard of this process.

    With ``torchrun``, the shard given on the command line is split further,
    into one shard per process. The processes do not communicate.

    Arguments
    ---------
    arguments : argparse.Namespace
        Arguments with ``num_shards`` and ``shard_index``.

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

    If an accelerator other than a CUDA GPU cannot run the model, for example
    because it lacks double precision, the model is loaded onto the CPU, with a
    warning.

    Arguments
    ---------
    arguments : argparse.Namespace
        Arguments with ``model``, ``trust_model``, ``device`` and ``precision``.

    Returns
    -------
    miipher2.inference.base.BaseRestorer
        The model, ready for inference.

    Raises
    ------
    UserError
        If the model cannot be loaded, if the device is not available, or if a
        precision or a device other than the CPU is chosen for an ONNX model.
    """
    if str(arguments.model).endswith(".onnx"):
        return _load_onnx(arguments)
    device = choose_device(arguments.device)
    if device.startswith(("cpu", "cuda")):
        return _load(arguments, device)
    try:
        restorer = _load(arguments, device)
        run_once(restorer)
        return restorer
    except (RuntimeError, TypeError) as error:
        logger.warning(
            "%s: cannot run this model (%s); using the CPU",
            device,
            str(error).strip().partition("\n")[0],
        )
    return _load(arguments, "cpu")


def _load(arguments, device):
    """Load the model onto a device."""
    from miipher2.inference.restorer import Restorer

    precision = arguments.precision or best_precision(device)
    return Restorer.from_hparams(
        arguments.model,
        trust_model=arguments.trust_model,
        run_opts={"device": device, "precision": precision},
    )


def _load_onnx(arguments):
    """Load a model written by ``miipher2 export-onnx``."""
    from miipher2.inference.onnx.restorer import OnnxRestorer

    if arguments.device not in (None, "auto", "cpu"):
        raise UserError(
            f"--device {arguments.device}: {arguments.model} runs on the CPU "
            "only; leave out --device, or give a model folder"
        )
    if arguments.precision is not None:
        raise UserError(
            f"--precision {arguments.precision}: the precision of "
            f"{arguments.model} was chosen at export; leave out --precision"
        )
    return OnnxRestorer(arguments.model)
