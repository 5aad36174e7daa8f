"""Toy metrics and recordings for the evaluation tests.

Authors
 * The miipher2 authors 2026
"""

import os

import numpy
import pytest
import soundfile

from miipher2.evaluation.base import Metric
from miipher2.evaluation.pool import ScorerSettings
from miipher2.evaluation.scorer import Scorer

RATE = 16000


def speech(seed=0, seconds=1.0):
    """Return noise with a syllable-like envelope."""
    rng = numpy.random.default_rng(seed)
    time = numpy.arange(int(seconds * RATE)) / RATE
    envelope = numpy.clip(numpy.sin(2 * numpy.pi * 3 * time), 0, None)
    return 0.1 * envelope * rng.standard_normal(len(time)) + 1e-4


def write(path, wav, rate=RATE):
    """Write 16-bit audio; create the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav, rate, subtype="PCM_16")


def write_m4a(path, wav, rate=RATE):
    """Write AAC in an MP4 container, as phones do; create the folder."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        for start in range(0, len(wav), 1024):
            block = wav[None, start : start + 1024].astype("float32")
            frame = av.AudioFrame.from_ndarray(block, "fltp", "mono")
            frame.rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class Peak(Metric):
    """A metric without a reference: the peak magnitude."""

    columns = {"peak": "Peak"}
    meaning = "largest magnitude"

    def extract(self, file, clips):
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, value, reference=None):
        return [float(abs(value).max())]


class SameLength(Metric):
    """A metric with a reference: 1 for equal lengths, 0 otherwise."""

    columns = {"same": "Same"}
    reference_sides = ("clean", "input")

    def extract(self, file, clips):
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, value, reference=None):
        return [float(len(value) == len(reference))]


class Level(Metric):
    """Stand-in for DNSMOS that falls from 5 to 1 with noise in pauses."""

    columns = {"ovrl": "OVRL"}

    def extract(self, file, clips):
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, value, reference=None):
        floor = numpy.quantile(numpy.abs(value), 0.2)
        return [float(5 - 4 * min(1, floor / 0.01))]


class Correlation(Metric):
    """Stand-in for speaker similarity: the correlation with the reference."""

    columns = {"speaker": "speaker"}
    reference_sides = ("clean", "input")

    def extract(self, file, clips):
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, value, reference=None):
        return [float(numpy.corrcoef(value, reference)[0, 1])]


class Killer(Peak):
    """A metric that ends the process if a file name contains "kill"."""

    def extract(self, file, clips):
        if "kill" in file:
            os._exit(9)
        return super().extract(file, clips)


class KillerSettings(ScorerSettings):
    """Settings of a scorer with the ``Killer`` metric."""

    def load(self):
        return Scorer(self.sides, [Killer()])
