"""SpeechBrain's HiFi-GAN for continuous features (arXiv 2010.05646).

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
    """SpeechBrain's HiFi-GAN generator with continuous features as input.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    sample_rate : int
        Sample rate of the output in Hz.
    upsample_factors : list of int
        Upsampling factors; their product is the number of samples per frame.
    upsample_kernel_sizes : list of int
        Kernel sizes of the upsampling layers.
    upsample_initial_channel : int
        Number of channels before the first upsampling layer. Each upsampling
        layer halves the number of channels.
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
        if self.training:  # training segments are long enough without padding
            return self.generator(features).squeeze(1), own_loss
        # The convolutions pad by reflection, for which short clips have too few
        # frames. Replicate the edges and remove the padding from the output;
        # the generator's ``inference`` does not remove it.
        padding = self.generator.inference_padding
        features = F.pad(features, (padding, padding), "replicate")
        wav = self.generator(features).squeeze(1)
        cut = padding * self.hop_length
        return wav[:, cut:-cut], own_loss

    def prepare_inference(self):
        """Fold the weight norms; on a CPU, use the channels-last layout."""
        self.generator.remove_weight_norm()
        if next(self.parameters()).device.type == "cpu":
            use_channels_last(self.generator)

    def warm_start(self, source):
        """Load tensors of another generator if their names and shapes match.

        Arguments
        ---------
        source : str
            ``FILE``, or ``REPOSITORY:FILE`` on the Hugging Face hub, for
            example
            ``speechbrain/hifigan-hubert-k1000-LibriTTS:generator.ckpt``.
        """
        load_matching(self.generator, source)


def load_matching(generator, source):
    """Load the tensors with matching names and shapes from a checkpoint.

    The checkpoint can be a SpeechBrain unit HiFi-GAN, which can have the same
    upsampling layers but takes discrete units as input.

    Arguments
    ---------
    generator : torch.nn.Module
        The generator. Tensors with matching names and shapes are overwritten.
    source : str
        ``FILE`` or ``REPOSITORY:FILE``.

    Returns
    -------
    dict
        Lists of tensor names: ``loaded``, ``new`` (tensors of the generator
        that were not loaded) and ``unused`` (tensors of the checkpoint that
        were not loaded). The names are also logged.

    Raises
    ------
    UserError
        If no tensor matches, or the checkpoint cannot be read.
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
            "a SpeechBrain HiFi-GAN or unit HiFi-GAN generator"
        )
    generator.load_state_dict(fitting, strict=False)
    report = {
        "loaded": sorted(fitting),
        "new": sorted(own.keys() - fitting.keys()),
        "unused": sorted(tensors.keys() - fitting.keys()),
    }
    for status, names in report.items():
        logger.info(
            f"warm start: {len(names)} {status} tensors: {', '.join(names)}"
        )
    return report


def _read_state_dict(source):
    """Return the tensors under PyTorch's current names for weight norms."""
    repository, _, filename = source.rpartition(":")
    try:
        path = source
        if repository:
            path = fetch(
                filename, repository, local_strategy=LocalStrategy.NO_LINK
            )
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, UnpicklingError) as error:
        raise UserError(
            f"warm_start: cannot read {source} ({type(error).__name__}); "
            "expected a generator's state dict as FILE or REPOSITORY:FILE"
        ) from None
    return {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for name, tensor in tensors.items()
    }
