"""How a backbone starts before it has learned anything.

Authors
 * The miipher2 authors 2026
"""

import math

import torch

LOWEST, HIGHEST = 40.0, 0.4875  # Hz; a share of the sample rate
PHASES = 4


@torch.no_grad()
def start_as_filterbank(conv, sample_rate):
    """Gives a convolution windowed cosines for its weights.

    Their frequencies are spread evenly over the mel scale, each in four
    phases, so that the activations of the four together tell the magnitude.
    Higher ones are stronger, against the fall of speech spectra. The biases
    are random and about as large as the filters' outputs for normalised
    speech: the layer norm above would otherwise take away the level.

    Learned filters become like these, but need long for it: measured on the
    same data and steps, see docs/log/compact.md.

    Arguments
    ---------
    conv : torch.nn.Conv1d
        One channel in, a multiple of 4 out, with a bias; its kernel should be
        as long as the window of a spectrum, some 25 ms. Changed in place.
    sample_rate : int
        Hz.

    Example
    -------
    >>> conv = torch.nn.Conv1d(1, 512, 400, 160)
    >>> start_as_filterbank(conv, 16000)
    >>> tone = torch.sin(2 * math.pi * 1000 / 16000 * torch.arange(400))
    >>> heard = conv(tone[None, None])[0, :, 0].view(128, 4).relu().sum(dim=1)
    >>> int(heard.argmax())  # the filters of about 1 kHz
    43
    """
    channels, _, kernel = conv.weight.shape
    mel = torch.linspace(
        _mel(LOWEST), _mel(HIGHEST * sample_rate), channels // PHASES
    )
    hz = 700 * (10 ** (mel / 2595) - 1)
    time = (torch.arange(kernel) - kernel / 2) / sample_rate
    phases = torch.arange(PHASES) * 2 * math.pi / PHASES
    waves = torch.cos(2 * math.pi * hz[:, None, None] * time + phases[:, None])
    strength = 0.05 * (hz / 1000).sqrt()[:, None, None]
    filters = strength * torch.hann_window(kernel) * waves
    conv.weight.copy_(filters.view_as(conv.weight))
    conv.bias.normal_(std=0.3)


@torch.no_grad()
def start_as_identity(encoder):
    """Lets what enters an encoder leave it, but for the last norm.

    What the layers and the positional convolution add to it is next to zero to
    begin with. Below a zero no weight would learn.

    Arguments
    ---------
    encoder : torch.nn.Module
        Of transformers' HuBERT with ``do_stable_layer_norm``. Changed in
        place.

    Example
    -------
    >>> from transformers import HubertConfig, HubertModel
    >>> config = HubertConfig(
    ...     hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    ...     intermediate_size=32, conv_dim=[8] * 7, do_stable_layer_norm=True,
    ...     num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    ... )
    >>> encoder = HubertModel(config).encoder.eval()
    >>> start_as_identity(encoder)
    >>> hidden = torch.randn(1, 5, 16)
    >>> out = encoder(hidden).last_hidden_state
    >>> torch.allclose(out, encoder.layer_norm(hidden), atol=0.05)
    True
    """
    positions = encoder.pos_conv_embed.conv
    for last in _last_of_branches(encoder):
        last.weight.mul_(0.01)
        last.bias.mul_(0.01)
    positions.bias.mul_(0.01)
    # its weight is a direction and a size
    positions.parametrizations.weight.original0.mul_(0.01)


def _last_of_branches(encoder):
    for layer in encoder.layers:
        yield layer.attention.out_proj
        yield layer.feed_forward.output_dense


def _mel(hz):
    return 2595 * math.log10(1 + hz / 700)
