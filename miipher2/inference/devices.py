"""Selection of the device: CUDA, XPU, MPS or the CPU.

Authors
 * The miipher2 authors 2026
"""

import os

import torch

from miipher2.errors import UserError

# Accelerators that ``auto`` can choose. PyTorch names AMD GPUs ``cuda``.
ACCELERATORS = ("cuda", "xpu", "mps")


def choose_device(name: str | None = None) -> str:
    """Return the name of the device to use.

    Arguments
    ---------
    name : str
        ``cpu``, ``cuda``, ``cuda:1``, ``xpu`` or ``mps``. None or ``auto`` for
        an accelerator or, if the machine has none, the CPU. With ``torchrun``,
        each process then uses its own CUDA or XPU device.

    Raises
    ------
    UserError
        If the device is not available.

    Example
    -------
    >>> choose_device("cpu")
    'cpu'
    """
    if name not in (None, "auto"):
        _check(name)
        return name
    available = available_devices()
    if len(available) == 1:
        return "cpu"
    rank = int(os.environ.get("LOCAL_RANK", 0))
    kind = available[0].partition(":")[0]
    device = available[0] if kind == "mps" else f"{kind}:{rank}"
    _check(device)
    return device


def available_devices() -> list[str]:
    """Return the names of all devices, accelerators first.

    Example
    -------
    >>> available_devices()[-1]
    'cpu'
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    kind = None if accelerator is None else accelerator.type
    if kind not in ACCELERATORS:
        return ["cpu"]
    if kind == "mps":  # at most one device
        return ["mps", "cpu"]
    count = torch.accelerator.device_count()
    return [*(f"{kind}:{index}" for index in range(count)), "cpu"]


def run_once(restorer) -> None:
    """Restore a tone to check that the device can run the model.

    Arguments
    ---------
    restorer : miipher2.inference.restorer.Restorer
        The model on its device.
    """
    samples = torch.arange(restorer.input_rate // 2)
    # A tone, because silence would bypass the model
    restorer.restore(0.1 * torch.sin(0.1 * samples))


def _check(name: str) -> None:
    """Raise a ``UserError`` if a device is not available."""
    try:
        # Allocate a tensor, because torch.device accepts any index.
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"--device {name}: not available; available: auto, "
            f"{', '.join(available_devices())} ({reason})"
        ) from None
