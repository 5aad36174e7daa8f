"""Tests of wow and flutter.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import torch
from scipy import signal
from tiny_audio import RATE, transfer_db, white_noise

from miipher2.degrade import Flutter, generator


def test_flutter_has_the_drawn_depth_and_no_drift():
    flutter = Flutter(
        wow=(0.005, 0.005),
        wow_hz=(1.0, 1.0),
        flutter=(1e-6, 1e-6),
        flutter_hz=(5.0, 5.0),
    )
    tone = 0.5 * torch.sin(2 * np.pi * 1000 / RATE * torch.arange(4 * RATE))
    output, _ = flutter(tone, generator(0))
    # Demodulate with the original tone; the phase gives the time shift.
    beat = output.numpy() * np.exp(-2j * np.pi / 16 * np.arange(4 * RATE))
    low = signal.butter(4, 200, fs=RATE, output="sos")
    phase = np.unwrap(np.angle(signal.sosfiltfilt(low, beat))) + np.pi / 2
    phase = phase[RATE // 2 : -RATE // 2]
    hz = np.gradient(phase) * RATE / (2 * np.pi)
    assert np.abs(hz).max() == pytest.approx(5.0, abs=0.1)
    seconds = np.abs(phase) / (2 * np.pi * 1000)
    assert seconds.max() == pytest.approx(0.005 / (2 * np.pi), rel=0.05)


def test_flutter_preserves_the_spectrum_up_to_4_khz():
    output, _ = Flutter()(white_noise(), generator(0))
    hz, gain_db = transfer_db(output, white_noise())
    assert np.abs(gain_db[(hz > 100) & (hz < 4000)]).max() < 1
