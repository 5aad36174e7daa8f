"""Synthetic speech.

Authors
 * The miipher2 authors 2026
"""

import numpy


def voice(rng, seconds, rate=16000):
    """Return a gliding harmonic tone with syllables, ``(time,)``."""
    time = numpy.arange(int(seconds * rate)) / rate
    pitch = rng.uniform(90, 220) * (1 + 0.1 * numpy.sin(3 * time))
    phase = 2 * numpy.pi * numpy.cumsum(pitch) / rate
    tone = sum(numpy.sin(k * phase) / k for k in range(1, 20))
    syllables = numpy.clip(numpy.sin(2 * numpy.pi * 3 * time), 0, None)
    return 0.1 * tone * syllables + 1e-4 * rng.standard_normal(len(time))
