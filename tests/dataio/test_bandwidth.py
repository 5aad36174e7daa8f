"""Tests of bandwidth measurement and of the low-pass filter.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import soxr
import torch
from tiny_voice import voice

from miipher2.dataio.bandwidth import low_pass, measure_bandwidth

RATE = 24000


def syllables_of_noise(seconds=2.0):
    """Return full-band white noise with pauses, as between syllables."""
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * RATE)) / RATE
    return 0.1 * rng.standard_normal(len(time)) * (time % 0.4 < 0.2)


@pytest.mark.parametrize("rate", [8000, 12000, 16000, 20000])
def test_bandwidth_is_half_the_rate_before_upsampling(rate):
    low = soxr.resample(syllables_of_noise(), RATE, rate)
    measured = measure_bandwidth(soxr.resample(low, rate, RATE), RATE)
    assert 0.88 * rate / 2 < measured <= 1.02 * rate / 2


def test_bandwidth_of_full_band_noise_is_half_the_sample_rate():
    assert measure_bandwidth(syllables_of_noise(), RATE) == RATE / 2


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.ones(10)])
def test_silent_and_short_recordings_count_as_full_band(samples):
    assert measure_bandwidth(samples, RATE) == RATE / 2


def test_each_clip_has_its_own_cutoff():
    wavs = torch.randn(2, 1, 4800)
    filtered = low_pass(wavs, torch.tensor([6000.0, 12000.0]), RATE)
    spectra = torch.fft.rfft(filtered).abs()
    hz = torch.fft.rfftfreq(4800, 1 / RATE)
    # The cut-off is 95 % of the bandwidth of 6000 Hz, that is 5700 Hz.
    assert spectra[0, :, hz > 5700].max() < 1e-2
    passed = torch.fft.rfft(wavs).abs()[0, :, hz < 5690]
    assert torch.allclose(spectra[0, :, hz < 5690], passed, atol=1e-3)
    assert torch.allclose(filtered[1], wavs[1], atol=1e-5)


def test_full_band_clips_are_not_filtered():
    wavs = torch.randn(2, 1, 480)
    assert low_pass(wavs, torch.tensor([12000.0, 12000.0]), RATE) is wavs


def test_bandwidth_of_a_voice_is_near_its_highest_harmonic():
    wav = voice(np.random.default_rng(0), 1.0)
    # The pitch is 173 to 190 Hz; the highest harmonic is the 19th.
    assert 3300 < measure_bandwidth(wav, 16000) < 4000
