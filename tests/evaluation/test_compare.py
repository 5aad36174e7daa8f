"""Tests of delay estimation and log-spectral distance.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy
import pytest
from toy_metrics import RATE, speech

from miipher2.evaluation.compare import (
    find_delay,
    log_spectral_distance,
    remove_delay,
)


@pytest.mark.parametrize("delay", [-1600, -333, 0, 7, 1600])
@pytest.mark.parametrize("gain", [1.0, -0.01])
def test_delay_is_exact(delay, gain):
    clean = speech(seconds=2.0)
    hiss = 0.03 * numpy.random.default_rng(1).standard_normal(len(clean))
    late = gain * remove_delay(clean + hiss, -delay)
    assert find_delay(late, clean, RATE) == delay


def test_unknown_delay_is_none():
    assert find_delay(speech(1), speech(2), RATE) is None
    assert find_delay(numpy.zeros(RATE), speech(), RATE) is None
    # Delays of more than 100 ms are not searched for
    assert find_delay(numpy.pad(speech(), (3000, 0)), speech(), RATE) is None


def test_remove_delay_aligns_recordings():
    clean = speech()
    for delay in (-50, 0, 50):
        late = remove_delay(clean, -delay)
        aligned = remove_delay(late, delay)
        assert numpy.array_equal(aligned[50:-50], clean[50 : len(aligned) - 50])


def test_spectral_distance_depends_on_bandwidth_but_not_on_gain():
    clean = speech()
    spectrum = numpy.fft.rfft(clean)
    spectrum[len(spectrum) // 2 :] = 0  # above 4 kHz
    muffled = numpy.fft.irfft(spectrum, len(clean))
    full_band = log_spectral_distance(muffled, clean, RATE)
    above = log_spectral_distance(muffled, clean, RATE, lowest=4000)
    assert above > full_band > 5
    # Neither a gain nor appended silence changes the distance
    longer = numpy.pad(0.3 * clean, (0, 999))
    assert log_spectral_distance(longer, clean, RATE) < 0.1


def test_spectral_distance_of_a_known_gain():
    """A gain of 6 dB in the upper half of the band gives the expected value."""
    noise = numpy.random.default_rng(0).standard_normal(4 * RATE)
    spectrum = numpy.fft.rfft(noise)
    spectrum[len(spectrum) // 2 :] *= 10 ** (6 / 20)
    tilted = numpy.fft.irfft(spectrum, len(noise))
    # After scaling to equal levels, the lower bins are weaker by `level` dB and
    # the upper bins are stronger by 6 - `level` dB
    level = 10 * numpy.log10((1 + 10 ** (6 / 10)) / 2)
    expected = math.sqrt((level**2 + (6 - level) ** 2) / 2)
    found = log_spectral_distance(tilted, noise, RATE)
    assert found == pytest.approx(expected, abs=0.1)


def test_spectral_distance_of_silent_or_short_recordings_is_nan():
    for wav in (numpy.zeros(RATE), speech()[:100], numpy.zeros(0)):
        assert math.isnan(log_spectral_distance(wav, speech(), RATE))
