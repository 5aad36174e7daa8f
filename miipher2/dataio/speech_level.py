"""How loud the speech in a recording is, measured while it streams by.

Recordings may last for days: what is kept of them here has a fixed size.
Training brings speech to the same level by the same measure.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy as np

FRAME_SECONDS = 0.025
ACTIVE_RANGE_DB = 25.0  # of the frames that are speech, below the loudest one
SILENCE_DB = -80.0  # level below which a recording holds no speech
TRAINED_DB = -26.0  # level that the models are trained at
MAX_GAIN_DB = 40.0  # so that what is nearly silence is not blown up


def frame_length(sample_rate):
    """Samples in a frame of 25 ms."""
    return max(1, round(FRAME_SECONDS * sample_rate))


def active_samples(samples, sample_rate):
    """Where speech is active.

    The clip is cut into frames of 25 ms, one after the other (the last may be
    shorter). A frame is active if its mean power is above zero and at most
    25 dB below that of the loudest frame.

    Arguments
    ---------
    samples : numpy.ndarray
        Speech of shape (time,).
    sample_rate : int
        In Hz.

    Returns
    -------
    active : numpy.ndarray
        bool of shape (time,): True for every sample of an active frame; all
        False for digital silence.

    Example
    -------
    >>> speech = np.concatenate([np.zeros(8000), np.ones(8000)])
    >>> int(active_samples(speech, 16000).sum())
    8000
    """
    if not len(samples):
        return np.zeros(0, dtype=bool)
    frame = frame_length(sample_rate)
    starts = np.arange(0, len(samples), frame)
    lengths = np.diff(starts, append=len(samples))
    energy = np.add.reduceat(samples.astype(np.float64) ** 2, starts)
    power = energy / lengths
    floor = power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)
    return np.repeat((power > 0) & (power >= floor), lengths)


def mean_power(samples):
    """The mean of the squared samples, in double precision; 0 for none."""
    if samples.size == 0:
        return 0.0
    return float(np.mean(samples.astype(np.float64) ** 2))


class PowerHistogram:
    """Powers of blocks of sound, sorted into classes of 0.1 dB.

    Example
    -------
    >>> powers = PowerHistogram()
    >>> powers.add(np.array([1.0, 0.1, 1e-6]))
    >>> round(powers.mean(above_db=-20.0), 3)
    0.55
    """

    LOWEST_DB, HIGHEST_DB, STEP_DB = -140.0, 60.0, 0.1

    def __init__(self):
        classes = round((self.HIGHEST_DB - self.LOWEST_DB) / self.STEP_DB)
        self.counts = np.zeros(classes, dtype=np.int64)
        self.sums = np.zeros(classes)

    def add(self, powers):
        """Counts blocks.

        Arguments
        ---------
        powers : numpy.ndarray
            Mean squares ``(blocks,)``; zeros are left out.
        """
        powers = powers[powers > 0]
        classes = (10 * np.log10(powers) - self.LOWEST_DB) / self.STEP_DB
        classes = np.clip(classes, 0, len(self.counts) - 1).astype(int)
        np.add.at(self.counts, classes, 1)
        np.add.at(self.sums, classes, powers)

    def loudest_db(self):
        """Level of the loudest class in dB; -inf if nothing was counted."""
        used = np.flatnonzero(self.counts)
        if not len(used):
            return -math.inf
        return self.LOWEST_DB + self.STEP_DB * int(used[-1])

    def mean(self, above_db=-math.inf):
        """Mean power of the blocks above a level.

        Arguments
        ---------
        above_db : float
            In dB; rounded to a class.

        Returns
        -------
        float
            0 if there are none.
        """
        first = 0
        if above_db > self.LOWEST_DB:
            first = round((above_db - self.LOWEST_DB) / self.STEP_DB)
        count = self.counts[first:].sum()
        return float(self.sums[first:].sum() / count) if count else 0.0


class SpeechLevel:
    """Level of the frames of 25 ms at most 25 dB below the loudest one.

    An offset is no level: each frame counts without its own mean.

    Arguments
    ---------
    sample_rate : int
        Hz.

    Example
    -------
    >>> level = SpeechLevel(16000)
    >>> level.add(np.tile([0.5, -0.5], 8000))
    >>> level.add(np.zeros(16000))
    >>> round(level.value(), 3), level.peak
    (0.5, 0.5)
    """

    def __init__(self, sample_rate):
        self.frame = frame_length(sample_rate)
        self.powers = PowerHistogram()
        self.rest = np.zeros(0)
        self.peak = 0.0

    @classmethod
    def of(cls, wav, sample_rate):
        """Measures a whole recording.

        Arguments
        ---------
        wav : torch.Tensor or numpy.ndarray
            ``(time,)``.
        sample_rate : int
            Hz.

        Returns
        -------
        SpeechLevel
            That has heard it.
        """
        level = cls(sample_rate)
        level.add(np.asarray(wav))
        return level

    def add(self, samples):
        """Measures the next samples.

        Arguments
        ---------
        samples : numpy.ndarray
            ``(time,)``.
        """
        if not len(samples):
            return
        self.peak = max(self.peak, float(np.abs(samples).max()))
        samples = np.concatenate([self.rest, samples])
        whole = len(samples) // self.frame * self.frame
        self.powers.add(samples[:whole].reshape(-1, self.frame).var(axis=1))
        self.rest = samples[whole:]

    def value(self):
        """Root mean square of the active frames; 0 for digital silence."""
        if not self.powers.counts.any() and len(self.rest):
            return float(self.rest.std())  # shorter than a frame
        loudest = self.powers.loudest_db()
        return self.powers.mean(loudest - ACTIVE_RANGE_DB) ** 0.5

    def is_silence(self):
        """Whether there is no speech in what was measured."""
        return self.value() < 10 ** (SILENCE_DB / 20)

    def gain(self):
        """Factor that brings speech to the level that models are trained at."""
        wanted = 10 ** (TRAINED_DB / 20)
        quietest = wanted / 10 ** (MAX_GAIN_DB / 20)
        return min(
            wanted / max(self.value(), quietest), 1 / max(self.peak, 1e-6)
        )
