"""Tests of excerpts.

Authors
 * The miipher2 authors 2026
"""

import base64
import io

import numpy
import soundfile
from toy_metrics import write

from miipher2.evaluation.excerpts import excerpts


def noise(seconds, rate):
    rng = numpy.random.default_rng(0)
    return rng.uniform(-0.9, 0.9, int(seconds * rate))


def decoded(side):
    return soundfile.read(io.BytesIO(base64.b64decode(side["audio"])))


def test_sides_are_mono_at_one_rate_and_lossless(tmp_path):
    wav = numpy.round(noise(1, 16000) * 32768) / 32768
    stereo = numpy.stack([noise(1, 8000)] * 2, axis=1)
    write(tmp_path / "input.wav", stereo, 8000)
    write(tmp_path / "restored.wav", wav)
    found = excerpts({s: tmp_path / f"{s}.wav" for s in ("input", "restored")})
    for side in found["sides"].values():
        samples, rate = decoded(side)
        assert (samples.shape, rate) == ((16000,), 16000)
        assert base64.b64decode(side["image"])[1:4] == b"PNG"
    samples, _ = decoded(found["sides"]["restored"])
    assert numpy.array_equal(samples, wav)
    assert (found["seconds"], found["max_khz"]) == (1.0, 8)


def test_long_recordings_are_cut_to_the_same_length(tmp_path):
    for side in ("input", "restored"):
        write(tmp_path / f"{side}.wav", noise(12, 48000), 48000)
    found = excerpts({s: tmp_path / f"{s}.wav" for s in ("input", "restored")})
    lengths = {len(decoded(side)[0]) for side in found["sides"].values()}
    assert (found["seconds"], lengths) == (10.0, {240000})
    paths = {s: tmp_path / f"{s}.wav" for s in ("input", "restored")}
    small = excerpts(paths, max_bytes=100000)
    size = sum(len(side["audio"]) for side in small["sides"].values())
    assert 60000 < size <= 100000
    lengths = {len(decoded(side)[0]) for side in small["sides"].values()}
    assert lengths == {round(small["seconds"] * 24000)}


def test_unusable_recordings_have_a_reason(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    write(tmp_path / "empty.wav", numpy.zeros(0))
    paths = {name: tmp_path / f"{name}.wav" for name in ("text", "empty", "no")}
    sides = excerpts(paths)["sides"]
    assert "cannot be read as audio" in sides["text"]["missing"]
    assert sides["empty"]["missing"] == "an empty file"
    assert "no such file" in sides["no"]["missing"]
