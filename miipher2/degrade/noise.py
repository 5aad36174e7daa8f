"""Additive noise: recordings, music, babble, coloured noise, mains hum.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy import fft

from miipher2.dataio.audio import resample
from miipher2.dataio.speech_level import active_samples, mean_power
from miipher2.degrade.base import (
    Degradation,
    fit,
    log_uniform,
    pick,
    uniform,
)
from miipher2.degrade.recordings import Recordings

# Lower limit of the noise power during active speech, as a fraction of the
# overall noise power (-10 dB). Without this limit, noise that is silent during
# speech would be amplified far too much.
LOWEST_SHARE = 10 ** (-10 / 10)


class AdditiveNoise(Degradation):
    """Base class for additive noise at a drawn SNR on active speech.

    The SNR is the ratio of the mean powers of speech and noise over the active
    samples of the speech; see ``active_samples``. The speech is the input of
    this degradation, including any reverberation added before. If the noise is
    more than 10 dB quieter during speech than overall, the SNR is higher than
    drawn. If the speech is digital silence or the noise is silent during
    speech, the clip is not changed, and its SNR is None.

    Arguments
    ---------
    snr_db : tuple of float
        Lowest and highest signal-to-noise ratio, in dB.
    sample_rate : int
        Sample rate in Hz.
    """

    adds_sound = True

    def __init__(self, snr_db, sample_rate=16000):
        self.snr_db = snr_db
        self.sample_rate = sample_rate

    def noise(self, length, rng):
        """Return random noise; its level does not matter.

        Arguments
        ---------
        length : int
            Number of samples.
        rng : numpy.random.Generator
            Random number generator.

        Returns
        -------
        noise : numpy.ndarray
            float32 of shape (length,).
        drawn : dict
            The parameters drawn.
        """
        raise NotImplementedError

    def degrade(self, samples, rng):
        """Add the noise; see ``Degradation.degrade``."""
        snr_db = uniform(rng, self.snr_db)
        noise, drawn = self.noise(len(samples), rng)
        active = active_samples(samples, self.sample_rate)
        speech_power = mean_power(samples[active])
        noise_power = mean_power(noise[active])
        limited = max(noise_power, LOWEST_SHARE * mean_power(noise))
        if speech_power == 0 or noise_power == 0:
            return samples.copy(), {"snr_db": None, **drawn}
        gain = np.sqrt(speech_power / limited) * 10 ** (-snr_db / 20)
        snr_db += 10 * float(np.log10(limited / noise_power))
        return samples + np.float32(gain) * noise, {"snr_db": snr_db, **drawn}


class Noise(AdditiveNoise):
    """Recorded noise or music from a manifest.

    Arguments
    ---------
    csv : str or None
        Manifest of the recordings (ID, duration, wav); None for no noise.
    data_root : str or None
        Value of ``$data_root`` in the manifest.
    snr_db : tuple of float
        Lowest and highest signal-to-noise ratio on active speech, in dB.
    speed : tuple of float
        Lowest and highest playback speed, drawn log-uniformly. The speed also
        changes the pitch, so that a few recordings give many different noises.
    sample_rate : int
        Sample rate in Hz.
    """

    def __init__(
        self,
        csv,
        data_root=None,
        snr_db=(-5.0, 30.0),
        speed=(1.0, 1.0),
        sample_rate=16000,
    ):
        super().__init__(snr_db, sample_rate)
        self.recordings = Recordings(csv, data_root, sample_rate)
        self.speed = speed

    def missing(self):
        """See ``Degradation.missing``."""
        return None if self.recordings.csv else "no manifest of recordings"

    def noise(self, length, rng):
        """Draw a segment of a recording; see ``AdditiveNoise.noise``."""
        if self.speed[0] == self.speed[1] == 1:  # do not draw the speed
            row, noise = self.recordings.draw(length, rng)
            return noise, {"noise": row["ID"]}
        speed = log_uniform(rng, self.speed)
        row, noise = self.recordings.draw(int(length * speed) + 1, rng)
        noise = fit(resample(noise, speed, 1.0), length)
        return noise, {"noise": row["ID"], "speed": speed}


class Babble(AdditiveNoise):
    """Several voices at equal levels, from a speech manifest.

    If the manifest has an ``spk_id`` column, the voices belong to different
    speakers; a speaker who is drawn twice is used only once.

    Arguments
    ---------
    csv : str or None
        Manifest of speech (ID, duration, wav, and spk_id if known); None for
        no babble.
    data_root : str or None
        Value of ``$data_root`` in the manifest.
    snr_db : tuple of float
        Lowest and highest signal-to-noise ratio on active speech, in dB.
    voices : tuple of int
        Minimum and maximum number of voices to draw.
    sample_rate : int
        Sample rate in Hz.
    """

    def __init__(
        self,
        csv,
        data_root=None,
        snr_db=(0.0, 30.0),
        voices=(4, 8),
        sample_rate=16000,
    ):
        super().__init__(snr_db, sample_rate)
        self.recordings = Recordings(csv, data_root, sample_rate)
        self.voices = voices

    def missing(self):
        """See ``Degradation.missing``."""
        return None if self.recordings.csv else "no manifest of speech"

    def noise(self, length, rng):
        """Return the sum of the voices; see ``AdditiveNoise.noise``."""
        voices = int(rng.integers(self.voices[0], self.voices[1] + 1))
        chosen = {}
        for _ in range(voices):
            row = pick(rng, self.recordings.rows)
            chosen.setdefault(row.get("spk_id", row["ID"]), row)
        babble = np.zeros(length, dtype=np.float32)
        for row in chosen.values():
            voice = self.recordings.crop(row, length, rng)
            power = mean_power(voice[active_samples(voice, self.sample_rate)])
            if power > 0:
                babble += voice / np.float32(np.sqrt(power))
        return babble, {"voices": [row["ID"] for row in chosen.values()]}


class ColouredNoise(AdditiveNoise):
    """Gaussian noise with a constant spectral slope.

    Arguments
    ---------
    snr_db : tuple of float
        Lowest and highest signal-to-noise ratio on active speech, in dB.
    slope_db : tuple of float
        Lowest and highest slope of the power spectrum in dB per octave:
        -6 is brown, -3 pink, 0 white, 3 blue.
    sample_rate : int
        Sample rate in Hz.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> pink = ColouredNoise(snr_db=(20.0, 20.0), slope_db=(-3.0, -3.0))
    >>> noisy, drawn = pink(torch.ones(16000), generator(0))
    >>> drawn
    {'snr_db': 20.0, 'slope_db': -3.0}
    """

    # The spectrum is flat below this frequency in Hz, which limits the power of
    # brown noise.
    lowest_hz = 30.0

    def __init__(
        self, snr_db=(0.0, 30.0), slope_db=(-6.0, 3.0), sample_rate=16000
    ):
        super().__init__(snr_db, sample_rate)
        self.slope_db = slope_db

    def noise(self, length, rng):
        """Shape white noise; see ``AdditiveNoise.noise``."""
        slope_db = uniform(rng, self.slope_db)
        padded = fft.next_fast_len(length, real=True)
        spectrum = fft.rfft(rng.standard_normal(padded, dtype=np.float32))
        hz = fft.rfftfreq(padded, 1 / self.sample_rate)
        octaves = np.log2(np.maximum(hz, self.lowest_hz) / self.lowest_hz)
        spectrum *= (10 ** (slope_db / 20 * octaves)).astype(np.float32)
        noise = fft.irfft(spectrum, padded)[:length]
        return noise, {"slope_db": slope_db}


class Hum(AdditiveNoise):
    """Mains hum: the mains frequency and its harmonics.

    Harmonic n has a random phase and an amplitude drawn uniformly between 0 and
    1 / n.

    Arguments
    ---------
    snr_db : tuple of float
        Lowest and highest signal-to-noise ratio on active speech, in dB.
    mains_hz : tuple of float
        Mains frequencies to choose from, in Hz.
    harmonics : int
        Number of harmonics, including the fundamental.
    sample_rate : int
        Sample rate in Hz.

    Example
    -------
    >>> import torch
    >>> from miipher2.degrade.base import generator
    >>> hum = Hum(snr_db=(10.0, 10.0), mains_hz=(50.0,))
    >>> hum(torch.ones(16000), generator(0))[1]
    {'snr_db': 10.0, 'mains_hz': 50.0}
    """

    def __init__(
        self,
        snr_db=(0.0, 30.0),
        mains_hz=(50.0, 60.0),
        harmonics=8,
        sample_rate=16000,
    ):
        super().__init__(snr_db, sample_rate)
        self.mains_hz = mains_hz
        self.harmonics = harmonics

    def noise(self, length, rng):
        """Return the sum of the harmonics; see ``AdditiveNoise.noise``."""
        mains_hz = pick(rng, self.mains_hz)
        number = np.arange(1, self.harmonics + 1)
        amplitude = rng.uniform(0, 1 / number)
        phase = rng.uniform(0, 2 * np.pi, self.harmonics)
        # Harmonic n is the n-th power of a complex exponential; the sum is
        # evaluated with Horner's scheme.
        omega = 2 * np.pi * mains_hz / self.sample_rate
        rotation = np.exp(1j * omega * np.arange(length))
        weight = amplitude * np.exp(1j * phase)
        weight[number * mains_hz >= self.sample_rate / 2] = 0
        hum = np.zeros(length, dtype=complex)
        for harmonic in weight[::-1]:
            hum = (hum + harmonic) * rotation
        return hum.real.astype(np.float32), {"mains_hz": mains_hz}
