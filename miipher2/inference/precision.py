"""Choice of the precision for a device, and casting of weights.

Authors
 * The miipher2 authors 2026
"""

import torch
from speechbrain.utils.autocast import AMPConfig
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

# Layers that autocast runs in lower precision, whatever dtype the weights have
AUTOCAST_LAYERS = (nn.Linear, nn.Conv1d, nn.ConvTranspose1d)


def cast_weights(modules: nn.Module, precision: str) -> None:
    """Cast weights that autocast would otherwise cast for every window.

    Arguments
    ---------
    modules : torch.nn.Module
        Modules in which the weights of ``AUTOCAST_LAYERS`` are cast in place.
    precision : str
        ``fp32``, ``bf16`` or ``fp16``.

    Example
    -------
    >>> linear = nn.Linear(2, 2)
    >>> cast_weights(linear, "bf16")
    >>> linear.weight.dtype
    torch.bfloat16
    """
    dtype = AMPConfig.from_name(precision).dtype
    if dtype == torch.float32:
        return
    for module in modules.modules():
        if isinstance(module, AUTOCAST_LAYERS) and not is_parametrized(module):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)


def best_precision(device: str) -> str:
    """Return the default precision for a device.

    Arguments
    ---------
    device : str
        Name of the device, for example ``cpu`` or ``cuda:0``.

    Returns
    -------
    str
        ``bf16`` for CUDA GPUs that support it in hardware and for CPUs with AMX
        or AVX512-BF16 instructions, ``fp16`` for other CUDA GPUs, otherwise
        ``fp32``.

    Example
    -------
    >>> best_precision("meta")
    'fp32'
    """
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(False) else "fp16"
    if device == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"):
            return "bf16"
    return "fp32"
