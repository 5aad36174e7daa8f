"""The level of active speech.

A frame of 25 ms is active if it is at most 25 dB below the loudest frame.
``active_samples`` returns a mask of the active samples of a clip in memory, for
degradations and metrics. ``SpeechLevel`` measures recordings of any length in
constant memory, for the input level of the models. The results differ
slightly: ``SpeechLevel`` subtracts the mean of each frame, applies the
threshold in bins of 0.1 dB, and uses an incomplete last frame only if the
complete frames contain no sound.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy as np

FRAME_SECONDS = 0.025
ACTIVE_RANGE_DB = 25.0  # active frames lie at most this far below the loudest
SILENCE_DB = -80.0  # recordings below this level contain no speech
INPUT_LEVEL_DB = -26.0  # level of speech in training and inference
MAX_GAIN_DB = 40.0  # limit for recordings that are nearly silent


def frame_length(sample_rate):
    """Return the number of samples in a frame of 25 ms."""
    return max(1, round(FRAME_SECONDS * sample_rate))


def active_samples(samples, sample_rate):
    """Return a mask of active speech.

    Frames do not overlap; the last frame may be shorter. A frame is active if
    its mean power is above zero and at most 25 dB below the mean power of the
    loudest frame.

    Arguments
    ---------
    samples : numpy.ndarray
        Speech ``(time,)``.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    numpy.ndarray
        ``(time,)`` bool, True for all samples of active frames; all False for
        digital silence.

    Example
    -------
    >>> speech = np.concatenate([np.zeros(8000), np.ones(8000)])
    >>> int(active_samples(speech, 16000).sum())
    8000
    """
    if not len(samples):
        return np.zeros(0, dtype=bool)
    starts = np.arange(0, len(samples), frame_length(sample_rate))
    lengths = np.diff(starts, append=len(samples))
    energy = np.add.reduceat(samples.astype(np.float64) ** 2, starts)
    power = energy / lengths
    threshold = power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)
    return np.repeat((power > 0) & (power >= threshold), lengths)


def mean_power(samples):
    """Return the mean of the squared samples in float64; 0 for no samples."""
    if samples.size == 0:
        return 0.0
    return float(np.mean(samples.astype(np.float64) ** 2))


class PowerHistogram:
    """A histogram of the mean powers of blocks, with bins of 0.1 dB.

    Example
    -------
    >>> powers = PowerHistogram()
    >>> powers.add(np.array([1.0, 0.1, 1e-6]))
    >>> round(powers.mean(above_db=-20.0), 3)
    0.55
    """

    LOWEST_DB, HIGHEST_DB, STEP_DB = -140.0, 60.0, 0.1

    def __init__(self):
        bins = round((self.HIGHEST_DB - self.LOWEST_DB) / self.STEP_DB)
        self.counts = np.zeros(bins, dtype=np.int64)
        self.sums = np.zeros(bins)

    def add(self, powers):
        """Add the powers of blocks.

        Arguments
        ---------
        powers : numpy.ndarray
            Mean squares ``(blocks,)``; zeros are ignored.
        """
        powers = powers[powers > 0]
        bins = (10 * np.log10(powers) - self.LOWEST_DB) / self.STEP_DB
        bins = np.clip(bins, 0, len(self.counts) - 1).astype(int)
        np.add.at(self.counts, bins, 1)
        np.add.at(self.sums, bins, powers)

    def loudest_db(self):
        """Return the level of the loudest bin in dB; -inf if all are empty."""
        used = np.flatnonzero(self.counts)
        if not len(used):
            return -math.inf
        return self.LOWEST_DB + self.STEP_DB * int(used[-1])

    def mean(self, above_db=-math.inf):
        """Return the mean power of the blocks above a level.

        Arguments
        ---------
        above_db : float
            Level in dB, rounded to the nearest bin.

        Returns
        -------
        float
            Mean power; 0 if there are no such blocks.
        """
        first = 0
        if above_db > self.LOWEST_DB:
            first = round((above_db - self.LOWEST_DB) / self.STEP_DB)
        count = self.counts[first:].sum()
        return float(self.sums[first:].sum() / count) if count else 0.0


class SpeechLevel:
    """Streaming measurement of the active speech level and the peak.

    The power of a frame is its variance, so a DC offset does not affect the
    level.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.

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
        self.incomplete = np.zeros(0)  # samples of an incomplete frame
        self.peak = 0.0

    @classmethod
    def of(cls, wav, sample_rate):
        """Measure a complete recording.

        Arguments
        ---------
        wav : torch.Tensor or numpy.ndarray
            ``(time,)``.
        sample_rate : int
            Sample rate in Hz.

        Returns
        -------
        SpeechLevel
            The finished measurement.
        """
        level = cls(sample_rate)
        level.add(np.asarray(wav))
        return level

    def add(self, samples):
        """Add the next samples of the recording.

        Arguments
        ---------
        samples : numpy.ndarray
            ``(time,)``.
        """
        if not len(samples):
            return
        self.peak = max(self.peak, float(np.abs(samples).max()))
        samples = np.concatenate([self.incomplete, samples])
        complete = len(samples) // self.frame * self.frame
        self.powers.add(samples[:complete].reshape(-1, self.frame).var(axis=1))
        self.incomplete = samples[complete:]

    def value(self):
        """Return the RMS of the active frames; 0 for digital silence."""
        if not self.powers.counts.any() and len(self.incomplete):
            return float(self.incomplete.std())  # no sound in complete frames
        loudest = self.powers.loudest_db()
        return self.powers.mean(loudest - ACTIVE_RANGE_DB) ** 0.5

    def is_silence(self):
        """Return whether the level is too low for speech."""
        return self.value() < 10 ** (SILENCE_DB / 20)

    def gain(self, level_db=INPUT_LEVEL_DB, max_gain_db=MAX_GAIN_DB):
        """Return the factor that scales speech to the models' input level.

        Arguments
        ---------
        level_db : float
            Level of active speech after scaling, in dB relative to an RMS of 1.
        max_gain_db : float
            Maximum gain in dB.

        Returns
        -------
        float
            The factor, limited so that the peak stays at or below 1.
        """
        target = 10 ** (level_db / 20)
        quietest = target / 10 ** (max_gain_db / 20)
        return min(
            target / max(self.value(), quietest), 1 / max(self.peak, 1e-6)
        )
