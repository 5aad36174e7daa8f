"""Tests of dataset items with degraded speech at the vocoder's sample rate.

Authors
 * The miipher2 authors 2026
"""

import numpy
import pytest
import soundfile
import torch

from miipher2.dataio.manifests import read_manifest, write_manifest
from miipher2.degrade import Chain, Clipping, ColouredNoise, NoSpeech
from miipher2.errors import UserError
from miipher2.training.dataset import speech_dataset

RATE = 24000


@pytest.fixture
def manifest(tmp_path):
    """Write the manifest of two clips of white noise with pauses."""
    rng = numpy.random.default_rng(0)
    rows = []
    for name, bandwidth in (("a", 8000), ("b", 12000)):
        time = numpy.arange(2 * RATE) / RATE
        wav = 0.1 * rng.standard_normal(len(time)) * (time % 0.4 < 0.2)
        soundfile.write(tmp_path / f"{name}.wav", wav, RATE)
        row = {"ID": name, "duration": 2.0, "wav": f"$data_root/{name}.wav"}
        rows.append({**row, "spk_id": "x", "bandwidth": bandwidth})
    write_manifest(tmp_path / "train.csv", rows)
    return tmp_path / "train.csv"


def dataset(manifest, rate=RATE, **options):
    chain = Chain({"clipping": (1.0, Clipping())}, sample_rate=rate)
    return speech_dataset(
        manifest,
        manifest.parent,
        degrade=chain,
        segment_seconds=1.0,
        sample_rate=RATE,
        seed=1,
        **options,
    )


def power_above_8k(wav):
    spectrum = torch.fft.rfft(wav).abs().square()
    hz = torch.fft.rfftfreq(len(wav), 1 / RATE)
    return float(spectrum[hz > 8200].sum() / spectrum.sum())


def test_each_waveform_has_the_right_sample_rate(manifest):
    item = dataset(manifest)[1, 0]
    assert item["clean"].shape == item["noisy"].shape == (16000,)
    assert item["recording"].shape == item["target"].shape == (RATE,)
    assert power_above_8k(item["recording"]) > 0.2
    assert [dataset(manifest)[1, i]["bandwidth"] for i in (0, 1)] == [8e3, 12e3]


def test_a_fraction_of_the_recordings_is_narrowband(manifest):
    items = dataset(manifest, narrow_share=0.5)
    above = [power_above_8k(items[e, 0]["recording"]) for e in range(40)]
    narrow = sum(power < 0.01 for power in above)
    assert 10 < narrow < 30
    assert power_above_8k(items[0, 0]["target"]) > 0.2


def test_a_chain_at_16_khz_gives_narrowband_recordings(manifest):
    item = dataset(manifest, rate=16000)[1, 0]
    assert item["recording"].shape == (RATE,)
    assert power_above_8k(item["recording"]) < 0.01


def test_a_chain_at_another_sample_rate_is_rejected(manifest):
    with pytest.raises(UserError, match="degrade: sample_rate 8000 Hz"):
        dataset(manifest, rate=8000)


def test_the_target_of_noise_without_speech_is_silence(manifest):
    noise = NoSpeech(1.0, [ColouredNoise(sample_rate=RATE)])
    item = dataset(manifest, no_speech=noise)[1, 0]
    assert not item["target"].any() and not item["clean"].any()
    assert item["noisy"].abs().max() > 0.01
    assert item["recording"].shape == item["target"].shape


def test_the_pitch_of_noise_without_speech_is_unvoiced(manifest):
    def pitch(wav, start, frames):
        return torch.tensor([120.0, 1.0]).repeat(frames, 1)

    pitch.frame_seconds = 0.01
    noise = NoSpeech(1.0, [ColouredNoise(sample_rate=RATE)])
    silent = dataset(manifest, no_speech=noise, pitch=pitch)[1, 0]
    assert silent["pitch"].shape == (100, 2)
    assert not silent["pitch"][:, 1].any()
    assert dataset(manifest, pitch=pitch)[1, 0]["pitch"][:, 1].all()


def test_an_invalid_bandwidth_is_rejected(manifest):
    text = manifest.read_text().replace(",8000", ",wide")
    manifest.write_text(text)
    with pytest.raises(UserError, match="expected a bandwidth in Hz above 0"):
        read_manifest(manifest, "")
