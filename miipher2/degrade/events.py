"""Synthetic intermittent sounds: bird calls, beeps, knocks, clicks.

Noise corpora contain few such sounds, and a model trained without them mistakes
them for speech.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy import signal

from miipher2.degrade.base import log_uniform, uniform
from miipher2.degrade.noise import AdditiveNoise
from miipher2.errors import UserError


class Events(AdditiveNoise):
    """Base class for noise that consists of periodic events.

    The level varies from event to event with a standard deviation of 3 dB.

    Arguments
    ---------
    snr_db : tuple of float
        Lowest and highest signal-to-noise ratio on active speech, in dB.
    sources : tuple of int
        Minimum and maximum number of simultaneous sources.
    seconds : tuple of float
        Shortest and longest event, in seconds.
    pause : tuple of float
        Shortest and longest pause between two events, in seconds.
    hz : tuple of float
        Lowest and highest frequency of the events in Hz; the subclasses define
        which frequency this is.
    sample_rate : int
        Sample rate in Hz.
    """

    def __init__(self, snr_db, sources, seconds, pause, hz, sample_rate=16000):
        super().__init__(snr_db, sample_rate)
        if not 0 < hz[0] <= hz[1] < sample_rate / 2:
            raise UserError(
                f"{type(self).__name__}: hz: expected [lowest, highest] above "
                f"0 and below half the sample rate of {sample_rate} Hz, found "
                f"{list(hz)}"
            )
        self.sources = sources
        self.seconds = seconds
        self.pause = pause
        self.hz = hz

    def noise(self, length, rng):
        """Return the sum of the sources; see ``AdditiveNoise.noise``."""
        count = int(rng.integers(self.sources[0], self.sources[1] + 1))
        noise, drawn = np.zeros(length), []
        for _ in range(count):
            seconds = log_uniform(rng, self.seconds)
            period = seconds + log_uniform(rng, self.pause)
            hz = log_uniform(rng, self.hz)
            # The clip contains at least half an event if it is long enough.
            latest = min(length / self.sample_rate, period) - seconds
            first = uniform(rng, (-seconds / 2, max(0.0, latest)))
            time = np.arange(length) / self.sample_rate - first
            number = np.floor(time / period).astype(int)
            since = time - number * period  # time since the start of the event
            events = number[-1] - number[0] + 1
            level = 10 ** (3 / 20 * rng.standard_normal(events))
            event = self.event(since, seconds, hz, rng)
            event[since >= seconds] = 0
            noise += level[number - number[0]] * event
            drawn.append({"seconds": seconds, "period": period, "hz": hz})
        return noise.astype(np.float32), {"sources": drawn}

    def event(self, since, seconds, hz, rng):
        """Synthesise the events of one source.

        Arguments
        ---------
        since : numpy.ndarray
            Seconds since the start of the current event, for each sample.
        seconds : float
            Duration of an event in seconds.
        hz : float
            Frequency of the events in Hz, drawn for this source.
        rng : numpy.random.Generator
            Random number generator.

        Returns
        -------
        samples : numpy.ndarray
            The events; only their level relative to other sources matters. The
            caller sets the samples after ``seconds`` to zero.
        """
        raise NotImplementedError


class Calls(Events):
    """Tonal events: birds, insects, alarms, beeps.

    A call has one to four harmonics, fades in and out, and glides up or down by
    up to an octave. Its highest fundamental frequency is drawn from the range
    ``hz``.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> calls = Calls(snr_db=(10.0, 10.0), sources=(1, 1))
    >>> noisy, drawn = calls(torch.ones(16000), generator(0))
    >>> len(drawn["sources"])
    1
    """

    def __init__(
        self,
        snr_db=(-5.0, 30.0),
        sources=(1, 3),
        seconds=(0.01, 0.6),
        pause=(0.005, 1.0),
        hz=(300.0, 7000.0),
        sample_rate=16000,
    ):
        super().__init__(snr_db, sources, seconds, pause, hz, sample_rate)

    def event(self, since, seconds, hz, rng):
        """Synthesise calls; see ``Events.event``."""
        octaves = uniform(rng, (-1, 1))
        progress = np.minimum(since / seconds, 1.0)
        envelope = np.sin(np.pi * progress) ** uniform(rng, (0.2, 2.0))
        # The frequency is first * exp(rate * progress); integrate it.
        rate = octaves * np.log(2)
        # Frequency at the start; the highest frequency is hz.
        first = hz * np.exp(min(0.0, -rate))
        cycles = first * seconds * np.expm1(rate * progress) / rate
        call = np.zeros(len(since))
        for harmonic in range(1, 1 + int(rng.integers(1, 5))):
            audible = harmonic * hz < self.sample_rate / 2
            tone = np.sin(2 * np.pi * harmonic * cycles)
            call += uniform(rng, (0, 1)) ** (harmonic - 1) * audible * tone
        return envelope * call


class Knocks(Events):
    """Bursts of noise: footsteps, hammers, clocks, keys, crackling.

    A burst starts abruptly, decays exponentially and has a resonance at a
    frequency drawn from the range ``hz``.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> knocks = Knocks(snr_db=(10.0, 10.0), sources=(2, 2))
    >>> noisy, drawn = knocks(torch.ones(16000), generator(0))
    >>> len(drawn["sources"])
    2
    """

    def __init__(
        self,
        snr_db=(-5.0, 30.0),
        sources=(1, 3),
        seconds=(0.003, 0.3),
        pause=(0.05, 1.0),
        hz=(100.0, 6000.0),
        sample_rate=16000,
    ):
        super().__init__(snr_db, sources, seconds, pause, hz, sample_rate)

    def event(self, since, seconds, hz, rng):
        """Synthesise bursts; see ``Events.event``."""
        burst = rng.standard_normal(len(since)) * np.exp(-5 * since / seconds)
        quality = log_uniform(rng, (1.0, 20.0))
        resonator = signal.iirpeak(hz, quality, fs=self.sample_rate)
        return signal.lfilter(*resonator, burst)
