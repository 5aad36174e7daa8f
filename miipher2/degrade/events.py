"""Sounds that come and go: calls of birds and insects, beeps, knocks, clicks.

Recorded noise has few of them, and a restorer that has not met them takes
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
    """A sound that comes again and again, one or several such at once.

    From one to the next its level changes by some 3 dB.

    Arguments
    ---------
    snr_db : tuple of float
        Lowest and highest signal-to-noise ratio on active speech, in dB.
    sources : tuple of int
        Smallest and largest number of sources at once.
    seconds : tuple of float
        Shortest and longest event.
    pause : tuple of float
        Shortest and longest time between two, in s.
    hz : tuple of float
        Lowest and highest frequency, of calls where they are highest.
    sample_rate : int
        In Hz.
    """

    def __init__(self, snr_db, sources, seconds, pause, hz, sample_rate=16000):
        super().__init__(snr_db, sample_rate)
        if not 0 < hz[0] <= hz[1] < sample_rate / 2:
            raise UserError(
                f"hz {list(hz)}: give [lowest, highest] above 0 and below half "
                f"the sample rate of {sample_rate} Hz"
            )
        self.sources = sources
        self.seconds = seconds
        self.pause = pause
        self.hz = hz

    def noise(self, length, rng):
        """The sum of sources, each at a level of its own."""
        count = int(rng.integers(self.sources[0], self.sources[1] + 1))
        noise, drawn = np.zeros(length), []
        for _ in range(count):
            seconds = log_uniform(rng, self.seconds)
            period = seconds + log_uniform(rng, self.pause)
            hz = log_uniform(rng, self.hz)
            # half of one is in the clip at least, if the clip is so long
            spare = min(length / self.sample_rate, period) - seconds
            first = uniform(rng, (-seconds / 2, max(0.0, spare)))
            time = np.arange(length) / self.sample_rate - first
            number = np.floor(time / period).astype(int)
            since = time - number * period  # the start of the event
            events = number[-1] - number[0] + 1
            level = 10 ** (3 / 20 * rng.standard_normal(events))
            event = self.event(since, seconds, hz, rng)
            event[since >= seconds] = 0
            noise += level[number - number[0]] * event
            drawn.append({"seconds": seconds, "period": period, "hz": hz})
        return noise.astype(np.float32), {"sources": drawn}

    def event(self, since, seconds, hz, rng):
        """One source.

        Arguments
        ---------
        since : numpy.ndarray
            Seconds since the event began, for each sample.
        seconds : float
            How long an event is.
        hz : float
            Its frequency.
        rng : numpy.random.Generator
            Where every draw comes from.

        Returns
        -------
        samples : numpy.ndarray
            Of any level; what comes after ``seconds`` is left out.
        """
        raise NotImplementedError


class Calls(Events):
    """Tones: birds, insects, alarms, beeps.

    A call has up to four harmonics, swells and dies away, and glides by up to
    an octave.

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
        """See ``Events.event``."""
        octaves = uniform(rng, (-1, 1))
        share = np.minimum(since / seconds, 1.0)
        swell = np.sin(np.pi * share) ** uniform(rng, (0.2, 2.0))
        # first * exp(rate * share), integrated
        rate = octaves * np.log(2)
        first = hz * np.exp(min(0.0, -rate))  # it is hz where it is highest
        cycles = first * seconds * np.expm1(rate * share) / rate
        call = np.zeros(len(since))
        for harmonic in range(1, 1 + int(rng.integers(1, 5))):
            audible = harmonic * hz < self.sample_rate / 2
            tone = np.sin(2 * np.pi * harmonic * cycles)
            call += uniform(rng, (0, 1)) ** (harmonic - 1) * audible * tone
        return swell * call


class Knocks(Events):
    """Bursts of noise: steps, hammers, clocks, keys, crackling.

    A burst starts at once, dies away, and sounds most around one frequency.

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
        """See ``Events.event``."""
        burst = rng.standard_normal(len(since)) * np.exp(-5 * since / seconds)
        sharpness = log_uniform(rng, (1.0, 20.0))
        peak = signal.iirpeak(hz, sharpness, fs=self.sample_rate)
        return signal.lfilter(*peak, burst)
