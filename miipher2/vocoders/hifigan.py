"""HiFi-GAN on continuous features (arXiv 2010.05646), SpeechBrain's generator.

Authors
 * The miipher2 authors 2026
"""

import math
from pickle import UnpicklingError

import torch
from speechbrain.lobes.models.HifiGAN import HifiganGenerator
from speechbrain.nnet.CNN import Conv1d, ConvTranspose1d
from speechbrain.utils.fetching import LocalStrategy, fetch
from speechbrain.utils.logger import get_logger
from torch import nn
from torch.nn import functional as F

from miipher2.errors import UserError
from miipher2.vocoders.base import Vocoder

logger = get_logger(__name__)


class HiFiGAN(Vocoder):
    """SpeechBrain's HiFi-GAN generator: features in, no units.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    sample_rate : int
        Hz of the sound that it gives.
    upsample_factors : list of int
        Their product is the number of samples a frame.
    upsample_kernel_sizes : list of int
        One for each factor.
    upsample_initial_channel : int
        Channels before the first upsampling, halved by each.
    resblock_kernel_sizes : list of int
        Kernels of the residual blocks.
    resblock_dilation_sizes : list of list of int
        Dilations, a list for each kernel.
    warm_start : str
        A generator to start from: ``FILE``, or ``REPOSITORY:FILE`` on a hub
        (``speechbrain/hifigan-hubert-k1000-LibriTTS:generator.ckpt``). Every
        tensor that fits is taken.

    Example
    -------
    >>> vocoder = HiFiGAN(
    ...     width=16, sample_rate=16000, upsample_factors=[8, 8, 5],
    ...     upsample_kernel_sizes=[16, 16, 11], upsample_initial_channel=32,
    ... )
    >>> vocoder(torch.rand(2, 10, 16)).shape
    torch.Size([2, 3200])
    """

    def __init__(
        self,
        width,
        sample_rate=16000,
        upsample_factors=(5, 4, 4, 2, 2),
        upsample_kernel_sizes=(11, 8, 8, 4, 4),
        upsample_initial_channel=512,
        resblock_kernel_sizes=(3, 7, 11),
        resblock_dilation_sizes=((1, 3, 5), (1, 3, 5), (1, 3, 5)),
        warm_start=None,
    ):
        super().__init__(width, math.prod(upsample_factors), sample_rate)
        self.generator = HifiganGenerator(
            in_channels=width,
            out_channels=1,
            resblock_type="1",
            resblock_dilation_sizes=resblock_dilation_sizes,
            resblock_kernel_sizes=resblock_kernel_sizes,
            upsample_kernel_sizes=upsample_kernel_sizes,
            upsample_initial_channel=upsample_initial_channel,
            upsample_factors=upsample_factors,
        )
        self.channels_last = False
        if warm_start is not None:
            take_what_fits(self.generator, warm_start)

    def forward(self, features):
        """Speaks features, see ``Vocoder.forward``."""
        features = features.transpose(1, 2)
        if self.training:  # segments of some length, from inside a clip
            return self.generator(features).squeeze(1)
        # The ends are repeated and cut off again: the generator's own
        # ``inference`` leaves them in the output, and its reflecting
        # convolutions need some frames to reflect.
        pad = self.generator.inference_padding
        features = F.pad(features, (pad, pad), "replicate")
        if self.channels_last:
            features = features[:, :, None]
            features = features.contiguous(memory_format=torch.channels_last)
        wav = self.generator(features).flatten(1)
        return wav[:, pad * self.hop_length : -pad * self.hop_length]

    def prepare_inference(self):
        """Folds the weight normalisation into the weights.

        On a CPU the layers are also laid out anew, see ``ChannelsLast``.
        """
        self.generator.remove_weight_norm()
        if next(self.parameters()).device.type != "cpu":
            return
        self.channels_last = True
        for module in list(self.generator.modules()):
            for name, layer in module.named_children():
                if isinstance(layer, (Conv1d, ConvTranspose1d)):
                    setattr(module, name, ChannelsLast(layer))


class ChannelsLast(nn.Module):
    """A convolution of SpeechBrain's with the channels of a sample together.

    In that layout a CPU computes long convolutions of few channels up to four
    times faster in bfloat16, and somewhat faster in single precision. PyTorch
    has it for images, so sound is one of height 1 here.

    Arguments
    ---------
    layer : Conv1d or ConvTranspose1d
        Without weight normalisation; a ``Conv1d`` keeps the length and
        reflects at the ends.

    Example
    -------
    >>> layer = Conv1d(
    ...     4, 3, in_channels=2, dilation=5, skip_transpose=True
    ... )
    >>> x = torch.rand(1, 2, 20)
    >>> y = ChannelsLast(layer)(x[:, :, None])[:, :, 0]
    >>> bool(torch.allclose(y, layer(x), atol=1e-6))
    True
    """

    def __init__(self, layer):
        super().__init__()
        conv = layer.conv
        self.weight = nn.Parameter(
            conv.weight.detach()[:, :, None].contiguous(
                memory_format=torch.channels_last
            ),
            requires_grad=False,
        )
        self.bias = conv.bias
        self.stride = (1, *conv.stride)
        self.dilation = (1, *conv.dilation)
        self.transposed = isinstance(conv, nn.ConvTranspose1d)
        if self.transposed:
            self.padding = (0, *conv.padding)
            self.output_padding = (0, *conv.output_padding)
        else:
            self.reach = conv.dilation[0] * (conv.kernel_size[0] - 1) // 2

    def forward(self, x):
        """Convolves ``(batch, channels, 1, time)``."""
        if self.transposed:
            return F.conv_transpose2d(
                x,
                self.weight,
                self.bias,
                self.stride,
                self.padding,
                self.output_padding,
                dilation=self.dilation,
            )
        if self.reach:
            # F.pad would go by single precision under autocast
            x = x.permute(0, 2, 3, 1)
            first = x[:, :, 1 : self.reach + 1].flip(2)
            last = x[:, :, -self.reach - 1 : -1].flip(2)
            x = torch.cat([first, x, last], dim=2).permute(0, 3, 1, 2)
        return F.conv2d(
            x, self.weight, self.bias, self.stride, 0, self.dilation
        )


def take_what_fits(generator, source):
    """Takes every tensor of a checkpoint that fits a generator.

    Meant for SpeechBrain's unit HiFi-GAN, whose upsampling stack is the same
    and whose input is not.

    Arguments
    ---------
    generator : torch.nn.Module
        Its parameters are overwritten where name and shape agree.
    source : str
        ``FILE`` or ``REPOSITORY:FILE``.

    Returns
    -------
    dict
        Names under ``taken``, ``new`` (kept as they were initialised) and
        ``left_out`` (in the checkpoint only); the same is logged.

    Raises
    ------
    UserError
        If nothing fits, or there is no such checkpoint.
    """
    repository, _, filename = source.rpartition(":")
    if repository:
        source = fetch(
            filename, repository, local_strategy=LocalStrategy.NO_LINK
        )
    try:
        tensors = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, UnpicklingError) as error:
        raise UserError(
            f"warm_start: cannot read {source} ({type(error).__name__}); "
            "expected FILE or REPOSITORY:FILE of a generator's state dict"
        ) from None
    # torch's older weight_norm called magnitude and direction otherwise
    tensors = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for name, tensor in tensors.items()
    }
    own = generator.state_dict()
    taken = {
        name: tensor
        for name, tensor in tensors.items()
        if name in own and own[name].shape == tensor.shape
    }
    if not taken:
        raise UserError(
            f"warm_start: nothing in {source} fits this generator; expected "
            "SpeechBrain's HiFi-GAN or unit HiFi-GAN"
        )
    generator.load_state_dict(taken, strict=False)
    report = {
        "taken": sorted(taken),
        "new": sorted(own.keys() - taken.keys()),
        "left_out": sorted(tensors.keys() - taken.keys()),
    }
    for what, names in report.items():
        logger.info(f"warm start, {what}: {len(names)}: {', '.join(names)}")
    return report
