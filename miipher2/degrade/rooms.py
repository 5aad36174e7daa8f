"""Simulation of room impulse responses.

Authors
 * The miipher2 authors 2026
"""

import numpy as np

from miipher2.degrade.base import uniform
from miipher2.errors import UserError

SPEED_OF_SOUND = 343.0
# Maximum order of the image sources; higher orders use ray tracing.
IMAGE_ORDER = 6
RAYS = 3000
# Maximum relative error of the RT60, and maximum number of simulations of a
# room before another room is drawn.
TOLERANCE = 0.1
TRIES = 4


def reverberation_time(rir, sample_rate):
    """Measure the RT60 of an impulse response as T30.

    The energy is integrated backwards (M. R. Schroeder, "New method of
    measuring reverberation time", 1965). A line is fitted to its level from -5
    to -35 dB and extrapolated to a decay of 60 dB (ISO 3382).

    The result of ``pyroomacoustics.experimental.rt60.measure_rt60`` differs by
    at most 0.3 %, because its fit starts and ends at slightly different
    samples. That function is not used, because ``Rooms`` corrects the
    absorption according to the measured RT60: even this small difference would
    change 14 of 25 rooms with the same seed.

    Arguments
    ---------
    rir : numpy.ndarray
        Room impulse response of shape (time,).
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    seconds : float
        The reverberation time.

    Example
    -------
    >>> decay = 10 ** (-3 * np.arange(16000) / 16000 / 0.5)
    >>> round(reverberation_time(decay, 16000), 2)
    0.5
    """
    energy = np.cumsum(np.asarray(rir, np.float64)[::-1] ** 2)[::-1]
    level = 10 * np.log10(np.maximum(energy / energy[0], 1e-12))
    start, end = np.argmax(level <= -5), np.argmax(level <= -35)
    slope = np.polyfit(np.arange(start, end), level[start:end], 1)[0]
    return float(-60 / slope / sample_rate)


class Rooms:
    """Draw shoebox rooms and simulate them with pyroomacoustics.

    Each room has one source and one microphone at random positions. All walls
    have the same absorption. For the target RT60, Eyring's formula gives an
    initial absorption, which is corrected until the simulated RT60 is within
    10 % of the target. Early reflections are simulated with image sources, late
    reflections with ray tracing.

    Arguments
    ---------
    size_m : tuple of (float, float)
        Shortest and longest length, width and height, in metres.
    rt60_s : tuple of float
        Lowest and highest reverberation time, in seconds.
    distance_m : tuple of float
        Shortest and longest distance from source to microphone, in metres.
    wall_m : float
        Minimum distance of source and microphone from any wall, in metres.
    sample_rate : int
        Sample rate in Hz.

    Raises
    ------
    UserError
        If pyroomacoustics is not installed.
    """

    def __init__(
        self,
        size_m=((2.5, 10.0), (2.5, 10.0), (2.3, 4.5)),
        rt60_s=(0.1, 1.2),
        distance_m=(0.2, 5.0),
        wall_m=0.3,
        sample_rate=16000,
    ):
        try:
            import pyroomacoustics
        except ImportError:
            raise UserError(
                "simulating rooms needs pyroomacoustics; run "
                "pip install pyroomacoustics"
            ) from None
        self.acoustics = pyroomacoustics
        self.size_m = np.array(size_m)
        self.rt60_s = rt60_s
        self.distance_m = distance_m
        self.wall_m = wall_m
        self.sample_rate = sample_rate

    def simulate(self, rng):
        """Draw one room and simulate it.

        Arguments
        ---------
        rng : numpy.random.Generator
            Random number generator.

        Returns
        -------
        rir : numpy.ndarray
            Impulse response of shape (time,), with a peak of 0.9. It ends with
            the last sample within 60 dB of the peak.
        room : dict
            ``room_m`` (length x width x height), ``distance_m``,
            ``rt60_target_s`` and ``rt60_measured_s``.

        Raises
        ------
        UserError
            If none of 1000 rooms reaches the target RT60 at a distance within
            ``distance_m``.
        """
        rt60 = uniform(rng, self.rt60_s)
        for _ in range(1000):
            size = rng.uniform(*self.size_m.T)
            inside = (np.full(3, self.wall_m), size - self.wall_m)
            source, microphone = rng.uniform(*inside), rng.uniform(*inside)
            distance = float(np.linalg.norm(source - microphone))
            if not self.distance_m[0] <= distance <= self.distance_m[1]:
                continue
            rir = self._tuned(rt60, size, source, microphone, rng)
            if rir is not None:
                measured = reverberation_time(rir, self.sample_rate)
                return _trim(rir), {
                    "room_m": "x".join(f"{side:.2f}" for side in size),
                    "distance_m": round(distance, 2),
                    "rt60_target_s": round(rt60, 3),
                    "rt60_measured_s": round(measured, 3),
                }
        raise UserError(
            f"rooms: none of 1000 rooms of {self.size_m.tolist()} m has an "
            f"RT60 of {rt60:.2f} s at a distance of {self.distance_m} m; "
            "change the ranges"
        )

    def _tuned(self, rt60, size, source, microphone, rng):
        """Return a response with the given RT60; None if all attempts fail."""
        volume = np.prod(size)
        surface = 2 * (volume / size).sum()
        # Eyring: RT60 = 24 ln(10) V / (c S x) with x = -ln(1 - absorption).
        exponent = 24 * np.log(10) * volume / (SPEED_OF_SOUND * surface * rt60)
        seed = int(rng.integers(2**63))
        for _ in range(TRIES):
            absorption = 1 - np.exp(-exponent)
            rir = self._room(absorption, size, source, microphone, seed)
            ratio = reverberation_time(rir, self.sample_rate) / rt60
            if abs(ratio - 1) < TOLERANCE:
                return rir
            exponent *= ratio
        return None

    def _room(self, absorption, size, source, microphone, seed):
        """Simulate the impulse response of a shoebox room."""
        # The random rays depend on the seed and on the number of threads; one
        # thread gives the same result on every machine.
        self.acoustics.random.seed(seed)
        self.acoustics.constants.set("num_threads", 1)
        room = self.acoustics.ShoeBox(
            size,
            fs=self.sample_rate,
            materials=self.acoustics.Material(absorption),
            max_order=IMAGE_ORDER,
            ray_tracing=True,
        )
        room.set_ray_tracing(n_rays=RAYS)
        room.add_source(source)
        room.add_microphone(microphone)
        room.compute_rir()
        return np.asarray(room.rir[0][0])


def _trim(rir):
    """Cut after the last sample within 60 dB of the peak; scale to peak 0.9."""
    level = np.abs(rir)
    last = np.flatnonzero(level > level.max() / 1000)[-1]
    return (rir[: last + 1] * (0.9 / level.max())).astype(np.float32)
