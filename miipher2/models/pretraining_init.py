"""Initialisation of a backbone for pretraining.

Authors
 * The miipher2 authors 2026
"""

import math

import torch

LOWEST_HZ = 40.0
HIGHEST = 0.4875  # highest frequency as a fraction of the sample rate
PHASES = 4


@torch.no_grad()
def init_as_filterbank(conv, sample_rate):
    """Initialise a convolution with windowed cosines.

    The frequencies are equally spaced on the mel scale. Each frequency has four
    filters with different phases; the sum of their rectified outputs is roughly
    proportional to the magnitude. The weights increase with the frequency,
    because speech has less power at high frequencies. The biases are random,
    with the standard deviation that the outputs have for normalised speech.
    Without biases, the following layer norm would remove the signal level.

    Arguments
    ---------
    conv : torch.nn.Conv1d
        Convolution to change in place. It has one input channel, a multiple of
        4 output channels, a bias, and a kernel of about 25 ms, which is the
        usual window length of a spectrogram.
    sample_rate : int
        Sample rate in Hz.

    Example
    -------
    >>> conv = torch.nn.Conv1d(1, 512, 400, 160)
    >>> init_as_filterbank(conv, 16000)
    >>> tone = torch.sin(2 * math.pi * 1000 / 16000 * torch.arange(400))
    >>> outputs = conv(tone[None, None])[0, :, 0] - conv.bias
    >>> int(outputs.view(128, 4).relu().sum(dim=1).argmax())  # about 1 kHz
    43
    """
    channels, _, kernel = conv.weight.shape
    mel = torch.linspace(
        _mel(LOWEST_HZ), _mel(HIGHEST * sample_rate), channels // PHASES
    )
    hz = 700 * (10 ** (mel / 2595) - 1)
    time = (torch.arange(kernel) - kernel / 2) / sample_rate
    phases = torch.arange(PHASES) * 2 * math.pi / PHASES
    waves = torch.cos(2 * math.pi * hz[:, None, None] * time + phases[:, None])
    gains = 0.05 * (hz / 1000).sqrt()[:, None, None]
    filters = gains * torch.hann_window(kernel) * waves
    conv.weight.copy_(filters.view_as(conv.weight))
    conv.bias.normal_(std=0.3)


@torch.no_grad()
def init_as_identity(encoder):
    """Initialise an encoder close to the identity, except for its final norm.

    The weights and biases of the positional convolution and of the last linear
    layer in each residual branch are multiplied by 0.01. If they were set to
    zero, the other weights of the branches would have no gradient.

    Arguments
    ---------
    encoder : torch.nn.Module
        HuBERT encoder from transformers with ``do_stable_layer_norm``, changed
        in place.

    Example
    -------
    >>> from transformers import HubertConfig, HubertModel
    >>> config = HubertConfig(
    ...     hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    ...     intermediate_size=32, conv_dim=[8] * 7, do_stable_layer_norm=True,
    ...     num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    ... )
    >>> encoder = HubertModel(config).encoder.eval()
    >>> init_as_identity(encoder)
    >>> hidden = torch.randn(1, 5, 16)
    >>> output = encoder(hidden).last_hidden_state
    >>> torch.allclose(output, encoder.layer_norm(hidden), atol=0.05)
    True
    """
    for layer in encoder.layers:
        for last in (layer.attention.out_proj, layer.feed_forward.output_dense):
            last.weight.mul_(0.01)
            last.bias.mul_(0.01)
    positions = encoder.pos_conv_embed.conv
    positions.bias.mul_(0.01)
    # The magnitude in the weight normalisation
    positions.parametrizations.weight.original0.mul_(0.01)


def _mel(hz):
    """Convert a frequency in Hz to mel."""
    return 2595 * math.log10(1 + hz / 700)
