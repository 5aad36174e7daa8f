"""Audio for training: the same whatever loads it.

Authors
 * The miipher2 authors 2026
"""

import itertools

import numpy
import pytest
import soundfile
import torch

from miipher2.dataio.audio import read_audio
from miipher2.dataio.speech_level import SpeechLevel
from miipher2.degrade import Chain, Clipping, Hum, Level, Reverb
from miipher2.errors import UserError
from miipher2.training.dataset import (
    EndlessBatches,
    speech_set,
    training_loader,
    validation_loader,
)


@pytest.fixture
def manifest(corpus, tmp_path):
    rows = ["ID,duration,wav,spk_id"]
    for path in sorted(corpus.glob("speech/train/*/*.wav")):
        seconds = soundfile.info(path).duration
        wav = f"$data_root/{path.relative_to(corpus)}"
        rows.append(f"{path.parent.name}-{path.stem},{seconds:.6f},{wav},x")
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "train.csv"


@pytest.fixture
def dataset(manifest, corpus):
    def make(**options):
        options = {
            "degrade": Chain(
                {"reverb": (0.5, Reverb(None)), "clipping": (1.0, Clipping())}
            ),
            "segment_seconds": 0.5,
            "sample_rate": 16000,
            "seed": 1,
            **options,
        }
        return speech_set(manifest, corpus, **options)

    return make


def same(one, other):
    return all(
        torch.equal(one[k], other[k]) for k in ("clean", "noisy", "target")
    )


def test_items_depend_on_seed_epoch_and_id_alone(dataset):
    item = dataset()[3, 1]
    assert item["clean"].shape == item["noisy"].shape == (8000,)
    assert not torch.equal(item["clean"], item["noisy"])
    assert same(item, dataset()[3, 1])
    for other in (dataset()[4, 1], dataset()[3, 2], dataset(seed=2)[3, 1]):
        assert not same(item, other)


def test_speech_is_brought_to_one_level_and_never_clipped(dataset):
    for index in range(4):
        clean = dataset(segment_seconds=9.0)[1, index]["clean"]
        assert clean.abs().max() <= 1
        level = 20 * numpy.log10(SpeechLevel.of(clean, 16000).value())
        assert level == pytest.approx(-26, abs=0.1)


def test_degraded_speech_is_brought_to_that_level_too(dataset):
    quiet = Chain({"level": (1.0, Level(level_db=(-45.0, -40.0)))})
    noisy = dataset(segment_seconds=9.0, degrade=quiet)[1, 0]["noisy"]
    level = 20 * numpy.log10(SpeechLevel.of(noisy, 16000).value())
    assert level == pytest.approx(-26, abs=0.1)


def test_target_at_24_khz_stays_aligned(dataset):
    item = dataset(sample_rate=24000)[1, 0]
    assert item["target"].shape == (12000,)
    assert item["clean"].shape == (8000,)


def test_paired_noisy_side_is_read_at_the_same_place(
    manifest, corpus, tmp_path, dataset
):
    lines = manifest.read_text().splitlines()
    paired = [lines[0] + ",noisy_wav"]
    paired += [f"{row},{row.split(',')[2]}" for row in lines[1:]]
    manifest.write_text("\n".join(paired) + "\n")
    item = dataset(kinds=["all", "clipping"])[1, 0]
    assert torch.allclose(item["clean"], item["noisy"], atol=1e-6)
    # a recording is what it is: no degradation multiplies it
    assert len(dataset(kinds=["all", "clipping"])) == len(dataset())


@pytest.fixture
def give_targets(manifest, corpus, tmp_path):
    """Adds ``target_wav`` to the manifest: the recordings, changed."""

    def give(change):
        header, *rows = manifest.read_text().splitlines()
        for number, row in enumerate(rows):
            path = tmp_path / f"{number}.flac"
            wav = row.split(",")[2].replace("$data_root", str(corpus))
            samples, own = soundfile.read(wav)
            soundfile.write(path, change(samples), own)
            rows[number] = f"{row},{path}"
        text = "\n".join([f"{header},target_wav", *rows])
        manifest.write_text(text + "\n")

    return give


@pytest.mark.parametrize("rate", [16000, 24000])
@pytest.mark.parametrize("cut", [0, 100])
def test_a_given_target_is_to_be_given_back_where_noise_was_added(
    dataset, give_targets, rate, cut
):
    options = {"sample_rate": rate, "segment_seconds": 9.0}
    options["degrade"] = Chain({"hum": (1.0, Hum())}, clean_share=0.0)
    plain = dataset(**options)[1, 0]
    give_targets(lambda samples: samples[: len(samples) - cut] / 2)
    item = dataset(**options)[1, 0]
    assert torch.equal(item["noisy"], plain["noisy"])
    for side, end in (("clean", -200), ("target", -300)):
        assert item[side].shape == plain[side].shape
        half = plain[side][:end] / 2
        assert torch.allclose(item[side][:end], half, atol=1e-4)
        assert half.abs().max() > 0.01


@pytest.mark.parametrize("rate", [16000, 24000])
def test_what_is_only_clipped_keeps_the_noise_of_its_room(
    dataset, give_targets, rate
):
    plain = dataset(sample_rate=rate)[1, 0]
    give_targets(lambda samples: samples / 2)
    assert same(dataset(sample_rate=rate)[1, 0], plain)


def test_a_target_of_another_length_is_named(dataset, give_targets):
    give_targets(lambda samples: samples[:-2000])
    with pytest.raises(UserError, match=r"flac: expected to be as long as .*"):
        dataset(segment_seconds=9.0)[1, 0]


def test_a_room_s_early_reflections_are_in_a_given_target_too(
    dataset, give_targets, tmp_path
):
    room = numpy.zeros(4000)
    room[[0, 160, 3000]] = 0.8, 0.6, 0.5  # 10 and 190 ms later
    soundfile.write(tmp_path / "room.wav", room, 16000)
    rooms = tmp_path / "rooms.csv"
    rooms.write_text(f"ID,duration,wav\na,0.25,{tmp_path}/room.wav\n")
    reverb = Reverb(rooms, target="early")
    chain = Chain({"reverb": (1.0, reverb)}, clean_share=0.0)
    plain = dataset(degrade=chain)[1, 0]
    give_targets(lambda samples: samples / 2)
    item = dataset(degrade=chain)[1, 0]
    assert torch.allclose(item["clean"], plain["clean"] / 2, atol=1e-3)


def test_kinds_multiply_the_clips_and_max_clips_limits_them(dataset):
    every = dataset(kinds=["all", "clipping", "reverb"], max_clips=3)
    kinds = [every[0, i]["kind"] for i in range(len(every))]
    # the chain has no rooms for its reverb
    assert sorted(set(kinds)) == ["all", "clipping"]
    assert 2 <= kinds.count("all") == kinds.count("clipping") <= 3
    with pytest.raises(UserError, match="nosie"):
        dataset(kinds=["all", "nosie"])
    with pytest.raises(UserError, match="reverb"):
        dataset(kinds=["reverb"])


def collect(loader, count):
    return [
        (batch.id, batch.clean.data.clone())
        for batch in itertools.islice(loader, count)
    ]


def equal(one, other):
    return len(one) == len(other) and all(
        a[0] == b[0] and torch.equal(a[1], b[1])
        for a, b in zip(one, other, strict=True)
    )


OPTIONS = {
    "seed": 1,
    "batch_size": 3,
    "segment_seconds": 0.5,
    "max_steps": 9,
    "valid_interval": 4,
}


def test_any_number_of_workers_gives_the_same_batches(dataset):
    alone = collect(training_loader(dataset(), **OPTIONS), 4)
    helped = collect(training_loader(dataset(), num_workers=2, **OPTIONS), 4)
    assert equal(alone, helped)


def test_nominal_epochs_go_on_and_end_with_the_run(dataset):
    loader = training_loader(dataset(), **OPTIONS)
    assert [len(list(loader)) for _ in range(4)] == [4, 4, 1, 0]


def test_a_resumed_loader_goes_on_with_the_next_batch(dataset, tmp_path):
    whole = training_loader(dataset(), **OPTIONS)
    every = collect(whole, 4) + collect(whole, 4)
    first = training_loader(dataset(), **OPTIONS)
    had = collect(first, 2)
    first.save(tmp_path / "loader")
    resumed = training_loader(dataset(), **OPTIONS)
    resumed.load(tmp_path / "loader", end_of_epoch=False)
    assert equal(had + collect(resumed, 9), every[:4])


def test_processes_share_the_batches(dataset):
    def take(rank, world_size, count):
        batches = EndlessBatches(
            dataset(), 1, 2, 0.5, rank=rank, world_size=world_size
        )
        return list(itertools.islice(batches, count))

    every = take(0, 1, 12)
    assert take(0, 2, 6) == every[0::2]
    assert take(1, 2, 6) == every[1::2]


def test_batches_by_duration(manifest, corpus, dataset):
    clips = dataset(segment_seconds=2.0)
    durations = [clips.data[key]["duration"] for key in clips.data_ids]
    batches = EndlessBatches(clips, 1, None, 2.0, batch_seconds=4.0)
    seen = []
    for batch in batches:
        if batch[0][0] > 1:
            break
        longest = max(min(2.0, durations[i]) for _, i in batch)
        assert longest * len(batch) <= 4.0 + 1e-6
        seen += [index for _, index in batch]
    assert sorted(seen) == list(range(len(clips)))


def test_validation_is_the_same_every_time(dataset):
    loader = validation_loader(dataset(), batch_size=3)
    assert equal(collect(loader, 9), collect(loader, 9))


def test_read_audio_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="missing.wav"):
        read_audio(tmp_path / "missing.wav", 16000)
    (tmp_path / "text.wav").write_text("this is not sound")
    with pytest.raises(UserError, match="text.wav"):
        read_audio(tmp_path / "text.wav", 16000)
    nan = numpy.full(100, numpy.nan, dtype="float32")
    soundfile.write(tmp_path / "nan.wav", nan, 16000, subtype="FLOAT")
    with pytest.raises(UserError, match="NaN"):
        read_audio(tmp_path / "nan.wav", 16000)


@pytest.mark.parametrize("name", ["batch_size", "max_steps", "valid_interval"])
def test_counts_are_at_least_one(dataset, name):
    with pytest.raises(UserError, match=f"{name}=0"):
        training_loader(dataset(), **{**OPTIONS, name: 0})
