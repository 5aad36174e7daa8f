"""Tests of intermittent sounds: timing, frequency and duration.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import torch
from tiny_audio import RATE

from miipher2.degrade import Calls, Knocks, generator
from miipher2.errors import UserError

ONE_SOURCE = (1, 1)


def events(noise):
    """Return the start and end of each event in seconds, in steps of 10 ms."""
    power = noise[: len(noise) // 160 * 160].reshape(-1, 160) ** 2
    loud = power.mean(axis=1) > 1e-3 * power.mean(axis=1).max()
    edges = np.flatnonzero(np.diff(loud.astype(int), prepend=0, append=0))
    return edges.reshape(-1, 2) / 100


@pytest.mark.parametrize("kind", [Calls, Knocks])
def test_events_have_the_drawn_period_and_duration(kind):
    span = {"seconds": (0.1, 0.1), "pause": (0.4, 0.4), "hz": (1000.0, 1000.0)}
    degradation = kind(sources=ONE_SOURCE, **span)
    noise, drawn = degradation.noise(10 * RATE, generator(0))
    (source,) = drawn["sources"]
    assert source == pytest.approx({"seconds": 0.1, "period": 0.5, "hz": 1000})
    starts, ends = events(noise)[1:-1].T
    assert len(starts) == pytest.approx(19, abs=1)
    assert np.allclose(np.diff(starts), 0.5, atol=0.03)
    # A knock decays; a call is audible for nearly all of its duration.
    assert np.all(ends - starts < 0.13)
    assert np.all(ends - starts > (0.04 if kind is Knocks else 0.08))


def test_calls_glide_by_at_most_an_octave():
    calls = Calls(sources=ONE_SOURCE, seconds=(0.3, 0.3), hz=(1000.0, 1000.0))
    for seed in range(10):
        noise, _ = calls.noise(4 * RATE, generator(seed))
        power = np.abs(np.fft.rfft(noise * np.hanning(len(noise)))) ** 2
        hz = np.fft.rfftfreq(len(noise), 1 / RATE)
        below = power[hz < 1000 / 2 / 1.3].sum()
        assert below < 0.01 * power.sum()


def test_harmonics_of_calls_do_not_alias():
    calls = Calls(sources=ONE_SOURCE, hz=(6000.0, 6000.0), seconds=(0.2, 0.2))
    for seed in range(10):
        noise, _ = calls.noise(4 * RATE, generator(seed))
        power = np.abs(np.fft.rfft(noise * np.hanning(len(noise)))) ** 2
        hz = np.fft.rfftfreq(len(noise), 1 / RATE)
        assert power[hz < 2000].sum() < 0.01 * power.sum()


@pytest.mark.parametrize("kind", [Calls, Knocks])
def test_every_draw_is_finite_and_not_silent(kind):
    for seed in range(300):
        noise, drawn = kind().noise(2 * RATE, generator(seed))
        assert noise.dtype == np.float32
        assert np.isfinite(noise).all()
        assert 1 <= len(drawn["sources"]) <= 3
        assert np.abs(noise).max() > 0


@pytest.mark.parametrize("kind", [Calls, Knocks])
@pytest.mark.parametrize("clip", [0.05, 0.3])
@pytest.mark.parametrize(
    "span",
    [
        {"seconds": (5.0, 5.0), "pause": (5.0, 5.0)},
        {"seconds": (0.003, 0.003), "pause": (5.0, 5.0)},
        {},
    ],
)
def test_short_clips_contain_part_of_an_event(kind, clip, span):
    speech = torch.sin(torch.arange(int(clip * RATE)) / 5)
    events = kind(snr_db=(0.0, 0.0), **span)
    for seed in range(100):
        noisy, _ = events(speech, generator(seed))
        assert torch.isfinite(noisy).all()
        noise = noisy - speech
        assert noise.abs().max() > 0.01
        assert noise.mean().abs() < 0.7 * noise.square().mean().sqrt()


@pytest.mark.parametrize("hz", [(0.0, 100.0), (100.0, 8000.0), (900.0, 90.0)])
def test_invalid_frequencies_raise(hz):
    with pytest.raises(UserError, match=rf"Calls: hz: .* found .*{hz[1]}"):
        Calls(hz=hz)
