"""Tests of the metrics, in particular those from other packages.

Authors
 * The miipher2 authors 2026
"""

import importlib
import math

import numpy
import pytest
from toy_metrics import RATE, SameLength, speech

from miipher2.evaluation import metrics
from miipher2.evaluation.base import Clip


def test_missing_packages_are_reported(monkeypatch):
    real = importlib.import_module

    def without(name, *arguments):
        if name.split(".")[0] in PACKAGES:
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments)

    PACKAGES = {
        "speechmos",
        "pesq",
        "pystoi",
        "resemblyzer",
        "faster_whisper",
        "hama",
    }
    monkeypatch.setattr(importlib, "import_module", without)
    found, missing = metrics.load_metrics("whisper")
    built_in = [metrics.SISDR, metrics.LSD, metrics.MCD]
    assert [type(metric) for metric in found] == built_in
    for name in PACKAGES:
        assert any(name in line and "pip install" in line for line in missing)
    _, missing = metrics.load_metrics(names=["lsd", "words"])
    assert missing == ["WER %, CER %: left out: no --recogniser given"]


def clips(delta=0.0):
    clean = speech(seconds=2.0).astype("float32")
    noise = numpy.random.default_rng(3).standard_normal(len(clean))
    noisy = (clean + delta * noise).astype("float32")
    return {
        "restored": Clip(noisy, noisy),
        "clean": Clip(clean, clean),
    }


@pytest.mark.parametrize(
    "metric_class, best", [(metrics.PESQ, 4.64), (metrics.ESTOI, 1.0)]
)
def test_pesq_and_estoi_fall_with_noise_and_are_nan_for_short_silence(
    metric_class, best
):
    for name in metric_class.packages:
        pytest.importorskip(name)
    metric = metric_class()
    [same] = metric.measure("a.wav", clips(), "clean")["restored"]
    [noisy] = metric.measure("a.wav", clips(0.05), "clean")["restored"]
    assert same == pytest.approx(best, abs=0.01) and noisy < same - 0.1
    silent = numpy.zeros(RATE, dtype="float32")
    short = {side: Clip(silent[:99], silent[:99]) for side in clips()}
    [score] = metric.measure("a.wav", short, "clean")["restored"]
    assert math.isnan(score)


@pytest.mark.filterwarnings("ignore")
def test_speaker_similarity_without_voice_activity_is_nan():
    for name in metrics.SpeakerSimilarity.packages:
        pytest.importorskip(name)
    metric = metrics.SpeakerSimilarity()
    silent = Clip(numpy.full(RATE, 1e-3, dtype="float32"))
    [score] = metric.measure("a", {**clips(), "restored": silent}, "clean")[
        "restored"
    ]
    assert math.isnan(score)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dnsmos_rates_each_side():
    for name in metrics.DNSMOS.packages:
        pytest.importorskip(name)
    scores = metrics.DNSMOS().measure("a.wav", clips(0.05), None)
    assert list(scores) == ["restored", "clean"]
    assert all(0.5 < value < 5 for value in scores["restored"])


def test_clean_side_is_preferred_as_the_reference():
    for metric_class in (metrics.SpeakerSimilarity, SameLength):
        metric = metric_class.__new__(metric_class)
        assert metric.reference_side(["input", "restored", "clean"]) == "clean"
        assert metric.reference_side(["input", "restored"]) == "input"
        assert metric.reference_side(["restored"]) is None
