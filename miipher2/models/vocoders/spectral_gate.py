"""Keeping what is good of a recording.

A vocoder makes everything anew, also what was never damaged; a small one does
that worse than it was. Here the vocoder hears the recording beside the
features, and each bin of its spectra is taken from the recording as far as
that is what the features let expect of clean speech: louder is noise, echo or
another voice, quieter is what the line has lost, and both are spoken anew.

Authors
 * The miipher2 authors 2026
"""

import torch
from torch import nn
from torch.nn import functional as F

QUIETEST = -11.5  # natural logarithm; what is below is silence
AROUND = 9  # bins whose mean power is compared: harmonics are not envelopes
# Share of the training clips that are made anew altogether: beside a recording
# that is good enough, what is made would never have to sound well by itself.
ANEW = 0.3
# Of what is not kept a trace stays, for words that the network takes for noise:
# as far as the speech expected there masks it, and no more than this share.
MASKED = 0.5
TRACE = 0.3


class Keeper(nn.Module):
    """Says how much of each bin of a recording stays.

    Of a bin around which ``h`` nats were heard and ``e`` expected, the share
    ``sigmoid(trust - doubt * |h - e|)`` is kept, after ``gain`` has brought it
    to the level of clean speech. The network gives trust and gain for each
    bin; doubt is learned for each frequency, one for what is too loud and one
    for what is too quiet. In training some clips keep nothing; in eval mode a
    trace stays of what is not kept, and what is made gives way to it as far as
    it is there.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    channels : int
        Of what the network makes of the features.
    subframes : int
        Spectra for each frame.
    n_fft : int
        Samples of a spectrum.

    Example
    -------
    >>> keeper = Keeper(width=16, channels=8, subframes=2, n_fft=640)
    >>> spectra = torch.randn(1, 20, 321, dtype=torch.complex64)
    >>> heard = keeper.hear(spectra)
    >>> keeper.hint(heard).shape
    torch.Size([1, 10, 16])
    >>> kept, made = keeper.eval()(torch.rand(1, 10, 8), heard, heard)
    >>> kept.shape, f"{kept.mean():.2f}", f"{made.mean():.2f}"
    (torch.Size([1, 20, 321]), '0.81', '0.19')
    """

    def __init__(self, width, channels, subframes, n_fft):
        super().__init__()
        bins = n_fft // 2 + 1
        self.subframes = subframes
        self.unit = (3 / 8 * n_fft) ** 0.5  # what noise of power 1 measures
        self.look = nn.Linear(subframes * bins, width, bias=False)
        self.say = nn.Linear(channels, subframes * 2 * bins)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        with torch.no_grad():
            self.say.bias.unflatten(0, (subframes, 2, bins))[:, 0] = 1.0
        self.doubt = nn.Parameter(torch.ones(2, bins))

    def hear(self, spectra):
        """How loud each bin is.

        Arguments
        ---------
        spectra : torch.Tensor
            Of the recording, complex ``(batch, frames * subframes, bins)``.

        Returns
        -------
        torch.Tensor
            Natural logarithms of gains, as the vocoder's filters have them,
            the same shape.
        """
        floor = torch.tensor(QUIETEST).exp().item()
        return (spectra.abs() / self.unit).clamp(min=floor).log()

    def hint(self, heard):
        """What to add to the features; nothing for silence.

        Arguments
        ---------
        heard : torch.Tensor
            From ``hear``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames, width)``.
        """
        frames = heard.unflatten(1, (-1, self.subframes)).flatten(2)
        return self.look((frames - QUIETEST) / 2)

    def forward(self, x, heard, expected):
        """Decides.

        Arguments
        ---------
        x : torch.Tensor
            What the network makes of the features ``(batch, frames,
            channels)``.
        heard : torch.Tensor
            From ``hear``.
        expected : torch.Tensor
            The same of clean speech.

        Returns
        -------
        kept : torch.Tensor
            What the recording is to be multiplied by, the shape of ``heard``.
        made : torch.Tensor
            The same for what is made anew, in [0, 1].
        """
        said = self.say(x).unflatten(-1, (self.subframes, 2, -1))
        trust, gain = said.flatten(1, 2).float().unbind(dim=2)
        gain = gain.clamp(-5.0, 5.0)
        too_loud = _around(heard + gain) - _around(expected)
        doubt = self.doubt[0] * too_loud.relu()
        doubt = doubt + self.doubt[1] * (-too_loud).relu()
        share = (trust - doubt).sigmoid()
        if self.training:
            anew = torch.rand(len(share), 1, 1, device=share.device) < ANEW
            share = share.masked_fill(anew, 0.0)
            return share * gain.exp(), 1 - share
        trace = (MASKED * (-too_loud).exp()).clamp(max=TRACE) * (1 - share)
        # a trace of next to nothing takes no place of what is made
        replaced = trace * too_loud.clamp(max=0.0).exp()
        return share * gain.exp() + trace, 1 - share - replaced


def _around(levels):
    """Levels of the mean power of the bins around each one."""
    power = F.avg_pool1d(
        (2 * levels.clamp(min=2 * QUIETEST)).exp(),
        AROUND,
        stride=1,
        padding=AROUND // 2,
        count_include_pad=False,
    )
    return power.log() / 2
