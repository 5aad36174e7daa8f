"""Tests of dataset items: crops, levels, targets, degradations and errors.

Authors
 * The miipher2 authors 2026
"""

import shutil

import numpy
import pytest
import soundfile
import torch

from miipher2.dataio.audio import read_audio
from miipher2.dataio.speech_level import SpeechLevel
from miipher2.degrade import Chain, Clipping, Hum, Level, Reverb
from miipher2.errors import UserError
from miipher2.training.dataset import speech_dataset
from miipher2.training.loaders import validation_loader


def same(first, second):
    return all(
        torch.equal(first[k], second[k]) for k in ("clean", "noisy", "target")
    )


def test_items_depend_only_on_seed_epoch_and_id(dataset):
    item = dataset()[3, 1]
    assert item["clean"].shape == item["noisy"].shape == (8000,)
    assert not torch.equal(item["clean"], item["noisy"])
    assert same(item, dataset()[3, 1])
    for other in (dataset()[4, 1], dataset()[3, 2], dataset(seed=2)[3, 1]):
        assert not same(item, other)


def test_clean_speech_has_a_fixed_level_and_is_not_clipped(dataset):
    for index in range(4):
        clean = dataset(segment_seconds=9.0)[1, index]["clean"]
        assert clean.abs().max() <= 1
        level = 20 * numpy.log10(SpeechLevel.of(clean, 16000).value())
        assert level == pytest.approx(-26, abs=0.1)


def test_degraded_speech_has_the_level_of_clean_speech(dataset):
    quiet = Chain({"level": (1.0, Level(level_db=(-45.0, -40.0)))})
    noisy = dataset(segment_seconds=9.0, degrade=quiet)[1, 0]["noisy"]
    level = 20 * numpy.log10(SpeechLevel.of(noisy, 16000).value())
    assert level == pytest.approx(-26, abs=0.1)


def test_a_target_at_24_khz_has_the_duration_of_the_input(dataset):
    item = dataset(sample_rate=24000)[1, 0]
    assert item["target"].shape == (12000,)
    assert item["clean"].shape == item["noisy"].shape == (8000,)


def test_recorded_pairs_are_cropped_alike_and_not_degraded(
    manifest, corpus, tmp_path, dataset
):
    lines = manifest.read_text().splitlines()
    paired = [lines[0] + ",noisy_wav"]
    paired += [f"{row},{row.split(',')[2]}" for row in lines[1:]]
    manifest.write_text("\n".join(paired) + "\n")
    item = dataset(kinds=["all", "clipping"])[1, 0]
    assert torch.allclose(item["clean"], item["noisy"], atol=1e-6)
    # their degradation is fixed, so the only kind is "all"
    assert len(dataset(kinds=["all", "clipping"])) == len(dataset())


@pytest.mark.parametrize("missing", [0.02, 0.1])
def test_only_small_differences_in_length_are_corrected(
    manifest, corpus, tmp_path, dataset, missing
):
    header, row, *_ = manifest.read_text().splitlines()
    wav = row.split(",")[2].replace("$data_root", str(corpus))
    samples, rate = soundfile.read(wav)
    samples = samples[: -round(missing * rate)]
    soundfile.write(tmp_path / "noisy.flac", samples, rate)
    manifest.write_text(
        f"{header},noisy_wav\n{row},{tmp_path / 'noisy.flac'}\n"
    )
    if missing > 0.05:
        with pytest.raises(UserError, match=r"noisy.flac: expected the length"):
            dataset(segment_seconds=9.0)[0, 0]
        return
    item = dataset(segment_seconds=9.0)[0, 0]
    assert len(item["noisy"]) == len(item["clean"])
    # The end is filled by reflection, not with zeros.
    end = round(missing * 16000)
    last, before = item["noisy"][-end:], item["noisy"][-2 * end : -end]
    assert last.abs().max() > 0
    assert torch.allclose(last, before.flip(0), atol=1e-3)


@pytest.fixture
def give_targets(manifest, corpus, tmp_path):
    """Return a function that adds modified recordings as ``target_wav``."""

    def give(change):
        header, *rows = manifest.read_text().splitlines()
        for number, row in enumerate(rows):
            path = tmp_path / f"{number}.flac"
            wav = row.split(",")[2].replace("$data_root", str(corpus))
            samples, rate = soundfile.read(wav)
            soundfile.write(path, change(samples), rate)
            rows[number] = f"{row},{path}"
        text = "\n".join([f"{header},target_wav", *rows])
        manifest.write_text(text + "\n")

    return give


@pytest.mark.parametrize("rate", [16000, 24000])
@pytest.mark.parametrize("cut", [0, 100])
def test_the_denoised_target_is_used_if_noise_was_added(
    dataset, give_targets, rate, cut
):
    options = {"sample_rate": rate, "segment_seconds": 9.0}
    options["degrade"] = Chain({"hum": (1.0, Hum())}, clean_share=0.0)
    plain = dataset(**options)[1, 0]
    give_targets(lambda samples: samples[: len(samples) - cut] / 2)
    item = dataset(**options)[1, 0]
    assert torch.equal(item["noisy"], plain["noisy"])
    for key, end in (("clean", -200), ("target", -300)):
        assert item[key].shape == plain[key].shape
        half = plain[key][:end] / 2
        assert torch.allclose(item[key][:end], half, atol=1e-4)
        assert half.abs().max() > 0.01


@pytest.mark.parametrize("rate", [16000, 24000])
def test_the_denoised_target_is_not_used_for_clipping(
    dataset, give_targets, rate
):
    plain = dataset(sample_rate=rate)[1, 0]
    give_targets(lambda samples: samples / 2)
    assert same(dataset(sample_rate=rate)[1, 0], plain)


def test_a_target_of_another_length_is_rejected(dataset, give_targets):
    give_targets(lambda samples: samples[:-2000])
    with pytest.raises(UserError, match=r"flac: expected the length of .*"):
        dataset(segment_seconds=9.0)[1, 0]


def test_early_reflections_are_added_to_the_denoised_target(
    dataset, give_targets, tmp_path
):
    room = numpy.zeros(4000)
    room[[0, 160, 3000]] = 0.8, 0.6, 0.5  # 10 and 187.5 ms later
    soundfile.write(tmp_path / "room.wav", room, 16000)
    rooms = tmp_path / "rooms.csv"
    rooms.write_text(f"ID,duration,wav\na,0.25,{tmp_path}/room.wav\n")
    reverb = Reverb(rooms, target="early")
    chain = Chain({"reverb": (1.0, reverb)}, clean_share=0.0)
    plain = dataset(degrade=chain)[1, 0]
    give_targets(lambda samples: samples / 2)
    item = dataset(degrade=chain)[1, 0]
    assert torch.allclose(item["clean"], plain["clean"] / 2, atol=1e-3)


def test_max_clips_limits_each_kind_and_invalid_kinds_are_rejected(dataset):
    items = dataset(kinds=["all", "clipping", "reverb"], max_clips=3)
    kinds = [items[0, i]["kind"] for i in range(len(items))]
    # the chain has no room impulse responses, so reverb is skipped
    assert sorted(set(kinds)) == ["all", "clipping"]
    assert 2 <= kinds.count("all") == kinds.count("clipping") <= 3
    with pytest.raises(UserError, match="nosie"):
        dataset(kinds=["all", "nosie"])
    with pytest.raises(UserError, match="reverb"):
        dataset(kinds=["reverb"])


def test_unusable_audio_files_are_reported(tmp_path):
    with pytest.raises(UserError, match="missing.wav"):
        read_audio(tmp_path / "missing.wav", 16000)
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(UserError, match="text.wav"):
        read_audio(tmp_path / "text.wav", 16000)
    nan = numpy.full(100, numpy.nan, dtype="float32")
    soundfile.write(tmp_path / "nan.wav", nan, 16000, subtype="FLOAT")
    with pytest.raises(UserError, match="NaN"):
        read_audio(tmp_path / "nan.wav", 16000)
    (tmp_path / "samples.raw").write_bytes(bytes(3200))
    with pytest.raises(UserError, match="samples.raw.*no header"):
        read_audio(tmp_path / "samples.raw", 16000)


@pytest.fixture
def broken(manifest, corpus, tmp_path):
    """Return a function that makes a file unusable and returns a dataset."""
    shutil.copytree(corpus / "speech", tmp_path / "speech")

    def make(name, damage="missing", **options):
        path = tmp_path / "speech/train" / name
        if damage == "missing":
            path.unlink()
        elif damage == "truncated":
            soundfile.write(path, numpy.zeros(160), 16000)
        else:
            path.write_bytes(b"not audio")
        options = {"segment_seconds": 0.5, "sample_rate": 16000, **options}
        chain = Chain({"clipping": (1.0, Clipping())})
        return speech_dataset(
            manifest, tmp_path, degrade=chain, seed=1, **options
        )

    return make


@pytest.mark.parametrize(
    "damage, reason",
    [
        ("missing", "no such file; looked for /"),
        ("truncated", "no audio at"),
        ("other", "cannot be read as audio"),
    ],
)
def test_the_error_for_an_unusable_clip_names_file_and_line(
    damage, reason, broken
):
    dataset = broken("train0/take1.wav", damage)
    with pytest.raises(UserError, match=reason) as error:
        dataset[1, 1]
    text = str(error.value)
    assert "train.csv, line 3: " in text and "train0/take1.wav: " in text
    assert "--skip_bad_clips=True" in text and "\n" not in text


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unusable_clips_are_skipped_up_to_a_limit(num_workers, broken, caplog):
    dataset = broken("train0/take1.wav", skip_bad_clips=True)
    assert dataset[1, 1]["id"] == "all/train1-take0"
    loader = validation_loader(dataset, 2, num_workers)
    ids = [name for batch in loader for name in batch.id]
    assert len(ids) == 8 and ids[1] == ids[2] == "all/train1-take0"
    assert int(dataset.bad.sum()) == 1
    if not num_workers:  # worker processes have separate log handlers
        assert "skipped (1 of 8 clips so far)" in caplog.text
    dataset = broken("train1/take0.wav", skip_bad_clips=True)
    with pytest.raises(UserError, match="2 of 8 clips cannot be used"):
        list(validation_loader(dataset, 2, num_workers))


def test_an_error_in_a_noise_file_is_not_skipped(broken, monkeypatch):
    def fail(*args, **kwargs):
        raise UserError("noise.wav: cannot be read as audio")

    dataset = broken("train0/take1.wav", skip_bad_clips=True)
    monkeypatch.setattr(Chain, "pair", fail)
    with pytest.raises(UserError, match="^noise.wav"):
        dataset[1, 0]
