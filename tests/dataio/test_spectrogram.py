"""Tests of spectrograms and their images.

Authors
 * The miipher2 authors 2026
"""

import io

import numpy
import pytest

from miipher2.dataio.spectrogram import (
    SILENCE_DB,
    spectrogram,
    spectrogram_png,
)


def tone(hz, rate, seconds=1.0, amplitude=1.0):
    time = numpy.arange(round(seconds * rate)) / rate
    return amplitude * numpy.sin(2 * numpy.pi * hz * time)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
def test_scale_does_not_depend_on_the_sample_rate(rate):
    levels = spectrogram(tone(3000, rate, amplitude=0.1), rate, 12000, rows=240)
    assert levels.shape == (240, 800)
    middle = levels[:, 400]
    assert middle.argmax() == 60
    assert middle.max() == pytest.approx(-20, abs=0.2)
    assert (levels[rate * 240 // 24000 + 2 :] == SILENCE_DB).all()


@pytest.mark.parametrize("seconds", [0.001, 0.05, 2.0, 40.0])
def test_recordings_of_every_duration_have_all_columns(seconds):
    rate = 16000
    wav = tone(1000, rate, seconds)
    wav[len(wav) // 2 :] = 0
    levels = spectrogram(wav, rate, 8000, rows=64, columns=200)
    assert levels.shape == (64, 200)
    assert numpy.isfinite(levels).all()
    if seconds > 1:
        assert levels[:, 20:90].max(axis=0).min() > -1
        assert levels[:, 110:].max() < -100


def test_empty_recording_is_silent():
    assert (spectrogram(numpy.zeros(0), 16000, 8000) == SILENCE_DB).all()


def test_image_has_low_frequencies_at_the_bottom_and_a_fixed_scale():
    image = pytest.importorskip("PIL.Image")
    levels = numpy.full((3, 4), -100.0)
    levels[0] = 0.0  # the lowest frequency
    levels[1] = -40.0
    drawn = image.open(io.BytesIO(spectrogram_png(levels, loudest_db=0.0)))
    assert drawn.size == (4, 3)
    pixels = numpy.asarray(drawn.convert("RGB")).sum(axis=2)
    assert (pixels[2] > pixels[1]).all() and (pixels[1] > pixels[0]).all()
    quieter = image.open(io.BytesIO(spectrogram_png(levels - 40, 0.0)))
    assert (
        numpy.asarray(quieter.convert("RGB")).sum(axis=2)[2] == pixels[1]
    ).all()
