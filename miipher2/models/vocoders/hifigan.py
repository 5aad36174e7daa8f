"""SpeechBrain's HiFi-GAN on continuous features (arXiv 2010.05646).

Authors
 * The miipher2 authors 2026
"""

import math
from pickle import UnpicklingError

import torch
from speechbrain.lobes.models.HifiGAN import HifiganGenerator
from speechbrain.utils.fetching import LocalStrategy, fetch
from speechbrain.utils.logger import get_logger
from torch.nn import functional as F

from miipher2.errors import UserError
from miipher2.models.channels_last import use_channels_last
from miipher2.models.vocoders.base import Vocoder

logger = get_logger(__name__)


class HiFiGAN(Vocoder):
    """SpeechBrain's HiFi-GAN generator, with features instead of units.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    sample_rate : int
        Sample rate of the output in Hz.
    upsample_factors : list of int
        Upsampling factors; their product is the number of samples per frame.
    upsample_kernel_sizes : list of int
        Kernel size of each upsampling.
    upsample_initial_channel : int
        Number of channels before the first upsampling; each upsampling halves
        it.
    resblock_kernel_sizes : list of int
        Kernel sizes of the residual blocks.
    resblock_dilation_sizes : list of list of int
        Dilations, one list for each kernel size.

    Example
    -------
    >>> vocoder = HiFiGAN(
    ...     width=16, sample_rate=16000, upsample_factors=[8, 8, 5],
    ...     upsample_kernel_sizes=[16, 16, 11], upsample_initial_channel=32,
    ... )
    >>> wav, _ = vocoder(torch.rand(2, 10, 16))
    >>> wav.shape
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

    def forward(self, features, recording=None, pitch=None):
        """Synthesise waveforms, see ``Vocoder.forward``."""
        features = features.transpose(1, 2)
        own_loss = features.new_zeros(())
        if self.training:  # segments of a clip need no padding
            return self.generator(features).squeeze(1), own_loss
        # Replicate the edges, because the convolutions reflect some frames, and
        # remove the padding from the output, which ``inference`` of the
        # generator does not do.
        padding = self.generator.inference_padding
        features = F.pad(features, (padding, padding), "replicate")
        wav = self.generator(features).squeeze(1)
        cut = padding * self.hop_length
        return wav[:, cut:-cut], own_loss

    def prepare_inference(self):
        """Fold weight norms into weights; use channels-last layout on a CPU."""
        self.generator.remove_weight_norm()
        if next(self.parameters()).device.type == "cpu":
            use_channels_last(self.generator)

    def warm_start(self, source):
        """Load the tensors of another generator with equal names and shapes.

        Arguments
        ---------
        source : str
            ``FILE``, or ``REPOSITORY:FILE`` on a hub, for example
            ``speechbrain/hifigan-hubert-k1000-LibriTTS:generator.ckpt``.
        """
        load_matching(self.generator, source)


def load_matching(generator, source):
    """Load the tensors of a checkpoint whose names and shapes match.

    It is intended for SpeechBrain's unit HiFi-GAN, which has the same
    upsampling stack but another input.

    Arguments
    ---------
    generator : torch.nn.Module
        The generator. Parameters with equal names and shapes are overwritten.
    source : str
        ``FILE`` or ``REPOSITORY:FILE``.

    Returns
    -------
    dict
        Names of the tensors that are ``loaded``, ``new`` (not in the
        checkpoint) and ``unused`` (in the checkpoint only). They are also
        logged.

    Raises
    ------
    UserError
        If no tensor matches, or there is no such checkpoint.
    """
    tensors = _read_state_dict(source)
    own = generator.state_dict()
    fitting = {
        name: tensor
        for name, tensor in tensors.items()
        if name in own and own[name].shape == tensor.shape
    }
    if not fitting:
        raise UserError(
            f"warm_start: no tensor in {source} fits this generator; expected "
            "SpeechBrain's HiFi-GAN or unit HiFi-GAN"
        )
    generator.load_state_dict(fitting, strict=False)
    report = {
        "loaded": sorted(fitting),
        "new": sorted(own.keys() - fitting.keys()),
        "unused": sorted(tensors.keys() - fitting.keys()),
    }
    for status, names in report.items():
        logger.info(f"warm start: {len(names)} {status}: {', '.join(names)}")
    return report


def _read_state_dict(source):
    """Return tensors under the names of torch's current weight norm."""
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
    return {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for name, tensor in tensors.items()
    }
