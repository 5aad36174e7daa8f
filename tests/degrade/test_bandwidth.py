"""Tests of band limiting.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import torch
from scipy import signal
from tiny_audio import RATE, transfer_db, white_noise

from miipher2.degrade import Bandwidth, generator
from miipher2.degrade.bandwidth import FILTERS, RESAMPLERS
from miipher2.errors import UserError


@pytest.mark.parametrize("cutoff_hz", [1500.0, 3000.0, 5000.0])
@pytest.mark.parametrize("kind", [*FILTERS, *RESAMPLERS])
def test_energy_above_the_cutoff_is_attenuated_with_little_delay(
    kind, cutoff_hz
):
    bandwidth = Bandwidth((cutoff_hz, cutoff_hz), kinds=(kind,), order=(8, 8))
    source = white_noise()
    output, drawn = bandwidth(source, generator(0))
    assert (drawn["kind"], drawn["cutoff_hz"]) == (kind, cutoff_hz)
    hz, gain_db = transfer_db(output, source)
    above, below = hz > 1.5 * cutoff_hz, (hz > 100) & (hz < 0.4 * cutoff_hz)
    if kind in ("linear", "hold"):
        # Without a filter, images of the pass band remain at a lower level.
        assert np.mean(gain_db[above]) < -3
        assert np.max(gain_db[above]) > -40
    else:
        limit = {"bessel": -12, "soxr_quick": -15}.get(kind, -25)
        assert np.max(gain_db[above]) < limit
    if kind in FILTERS or kind == "soxr":
        assert np.abs(gain_db[below]).max() < 3
    match = signal.correlate(output.numpy(), source.numpy(), method="fft")
    delay = (match.argmax() - (len(source) - 1)) / RATE
    assert 0 <= delay <= 0.0012


@pytest.mark.parametrize("kind", ["soxr_quick", "linear", "hold"])
def test_poor_resamplers_alias(kind):
    """A 5 kHz tone aliases to 1 kHz at a sample rate of 6 kHz."""
    tone = 0.5 * torch.sin(2 * np.pi * 5000 / RATE * torch.arange(RATE))
    levels = []
    for name in (kind, "soxr"):
        output, _ = Bandwidth((3000.0, 3000.0), kinds=(name,))(
            tone, generator(0)
        )
        levels.append(np.abs(np.fft.rfft(output.numpy()))[1000])
    assert levels[0] > 100 * levels[1]


def test_float32_filters_are_accurate(speech):
    """The rounding error is at least 80 dB below the signal."""
    for kind in FILTERS:
        sos = signal.iirfilter(
            12,
            1500,
            rp=1,
            rs=60,
            btype="low",
            ftype=kind,
            output="sos",
            fs=RATE,
        )
        exact = signal.sosfilt(sos, speech.numpy().astype(np.float64))
        bandwidth = Bandwidth((1500.0, 1500.0), kinds=(kind,), order=(12, 12))
        output, _ = bandwidth(speech, generator(0))
        error = np.mean((output.numpy() - exact) ** 2) / np.mean(exact**2)
        assert 10 * np.log10(error) < -80


def test_cutoff_is_capped_below_nyquist():
    bandwidth = Bandwidth((8000.0, 8000.0))
    for seed in range(30):
        output, drawn = bandwidth(white_noise(0.2), generator(seed))
        assert drawn["cutoff_hz"] == 7600
        assert torch.isfinite(output).all()


def test_unknown_filter_raises():
    with pytest.raises(UserError, match="gauss"):
        Bandwidth(kinds=("gauss",))
