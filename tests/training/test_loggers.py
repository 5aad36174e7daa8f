"""Tests of the TensorBoard and wandb loggers and of the clips that they log.

Authors
 * The miipher2 authors 2026
"""

import importlib.util

import numpy as np
import pytest
import torch
from tiny_runs import logged

from miipher2.errors import UserError
from miipher2.training.loggers import (
    RunLogger,
    TensorBoardLogger,
    WandBLogger,
    choose_logger,
)
from miipher2.training.shown_clips import ShownClip, normalised, spectrograms

RATE = 16000
STATS = {
    "train_stats": {"loss": 3.0},
    "valid_stats": {"mel restored": 0.5},
}


@pytest.fixture
def clip():
    """Return a clip of a tone with a wrong frequency in ``predicted``."""
    time = torch.arange(RATE // 2) / RATE
    tones = {"input": 1000, "predicted": 3000, "target": 1000}
    wavs = {v: 0.5 * torch.sin(6.283 * hz * time) for v, hz in tones.items()}
    return ShownClip(wavs, RATE)


@pytest.fixture
def options(tiny_backbone):
    return {"ssl_source": tiny_backbone, "ssl_layer": 2}


def events(folder):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    loaded = accumulator.EventAccumulator(
        str(folder), {"images": 0, "audio": 0, "scalars": 0}
    )
    return loaded.Reload()


def test_spectrograms_share_one_scale(clip):
    quiet = {**clip.wavs, "predicted": 0.1 * clip.wavs["predicted"]}
    maps, (lowest, highest) = spectrograms(quiet, RATE)
    peaks = {version: values.max() for version, values in maps.items()}
    assert peaks["target"] == pytest.approx(highest)
    assert peaks["predicted"] == pytest.approx(highest - 20, abs=0.5)
    bins, _ = maps["predicted"].shape
    loudest = maps["predicted"].mean(axis=1).argmax()
    assert loudest / (bins - 1) * RATE / 2 == pytest.approx(3000, abs=25)
    assert lowest < highest - 60


def test_features_are_normalised_by_the_target():
    """Each dimension is normalised separately."""
    target = torch.randn(50, 2) * torch.tensor([1.0, 100.0]) + 7
    features = {"target": target, "predicted": target + target.std(dim=0)}
    maps, _ = normalised(features)
    assert maps["target"].std(axis=1) == pytest.approx([1, 1], abs=0.05)
    difference = maps["predicted"] - maps["target"]
    assert difference == pytest.approx(np.ones((2, 50)), abs=0.05)


@pytest.mark.parametrize("seconds", [0.005, 0.5])
@pytest.mark.parametrize("stage", [1, 2])
def test_pictures_show_the_prediction(clip, stage, seconds):
    """A wrong prediction changes only its panel, even in a clip of 5 ms."""
    samples = int(seconds * RATE)
    wavs = {version: wav[:samples] for version, wav in clip.wavs.items()}
    clip = ShownClip(wavs, RATE)
    wrong = ShownClip(
        {**wavs, "predicted": wavs["predicted"].roll(3) / 9}, RATE
    )
    if stage == 1:
        frames = torch.randn(3, 20, 8)
        features = dict(zip(wavs, frames, strict=True))
        clip = ShownClip(wavs, RATE, features)
        features = {**features, "predicted": frames[0] + 1}
        wrong = ShownClip(wavs, RATE, features)
    picture = clip.picture()
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert min(picture.shape[:2]) > 300
    changed = (picture != wrong.picture()).any(axis=(1, 2)).nonzero()[0]
    third = len(picture) // 3  # predicted is in the middle
    assert third - 20 < changed.min() and changed.max() < 2 * third + 20


def test_tensorboard_logs_optimizer_steps_of_resumed_runs(tmp_path, clip):
    pytest.importorskip("tensorboard")
    for first in (5, 15):
        logger = TensorBoardLogger(str(tmp_path))
        for step in (first, first + 5):
            logger.log_stats({"step": step, "lr": 0.1}, **STATS)
            logger.log_clips(step, {"all/a": clip})
        logger.writer.close()
    results = events(tmp_path)
    for tag in ("loss/train", "mel restored/valid", "lr"):
        assert [e.step for e in results.Scalars(tag)] == [5, 10, 15, 20]
    for version in ("input", "predicted", "target"):
        audio = results.Audio(f"all/a/{version}")
        assert [e.step for e in audio] == [5, 10, 15, 20]
        assert audio[0].sample_rate == RATE
        assert audio[0].length_frames == len(clip.wavs[version])
    assert [e.step for e in results.Images("all/a/picture")] == [5, 10, 15, 20]


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Set wandb to offline mode; yield a list of the logged data."""
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_PROJECT", "WANDB_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "hyperparams.yaml").write_text("lr: 0.1\nmodel: !new:a.B\n")
    logs = []
    log = wandb.Run.log
    monkeypatch.setattr(
        wandb.Run,
        "log",
        lambda run, data, **keys: (logs.append(data), log(run, data, **keys)),
    )
    yield logs
    wandb.finish()


def test_wandb_works_offline_and_continues_a_run(offline, tmp_path, clip):
    ids = set()
    for step in (5, 10):
        logger = WandBLogger(str(tmp_path))
        logger.log_stats({"step": step, "lr": 0.1}, **STATS)
        logger.log_clips(step, {"all/a": clip})
        ids.add(logger.run.id)
        assert dict(logger.run.config) == {"lr": 0.1}
        assert logger.run.project == "miipher2"
        logger.run.finish()
    assert len(ids) == 1
    assert [data["step"] for data in offline] == [5, 5, 10, 10]
    assert offline[0]["valid"] == {"mel restored": 0.5}
    media = [p.name for p in (tmp_path / "wandb").rglob("media/**/*.*")]
    assert sum(name.endswith(".png") for name in media) == 2
    assert sum(name.endswith(".wav") for name in media) == 6
    assert len(list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))) == 2


def test_an_error_from_wandb_is_reported_with_a_remedy(
    offline, tmp_path, monkeypatch
):
    import wandb

    def refuse(**options):
        raise wandb.errors.UsageError("api_key not configured")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(UserError, match="cannot start: api_key.*wandb login"):
        WandBLogger(str(tmp_path))


def test_unknown_loggers_and_missing_packages_are_reported(
    train, options, tmp_path, monkeypatch
):
    with pytest.raises(UserError, match="--logger=board: expected curves"):
        train("pa", tmp_path / "run", **{**options, "logger": "board"})
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="wandb is not installed; pip install"):
        choose_logger("wandb", wandb=WandBLogger)
    assert choose_logger("mine", mine=RunLogger) is RunLogger


def test_training_logs_clips_or_draws_curves(train, trained, options, tmp_path):
    """Stage 1 logs the input and the target; stage 2 logs its samples."""
    pytest.importorskip("tensorboard")
    curves = (trained / "pa/curves.png").read_bytes()
    assert curves.startswith(b"\x89PNG")
    options |= {"logger": "tensorboard"}
    train("pa", tmp_path / "pa", **options)
    stage1 = events(tmp_path / "pa/tensorboard")
    assert len(stage1.Tags()["images"]) == 1
    versions = {tag.split("/")[-1] for tag in stage1.Tags()["audio"]}
    assert versions == {"input", "target"}
    assert not (tmp_path / "pa/curves.png").exists()
    options |= {"cleaner_folder": trained / "pa", "pretrain_steps": 1}
    train("vocoder", tmp_path / "vocoder", **options)
    stage2 = events(tmp_path / "vocoder/tensorboard")
    samples = list((tmp_path / "vocoder/samples/0000002").iterdir())
    assert len(samples) == len(stage2.Tags()["audio"]) == 3
    assert [e.step for e in stage2.Scalars("loss/train")] == [2]
    # the loss and its terms are means over the same steps
    term, loss = (
        float(logged(tmp_path / "vocoder", name)[0])
        for name in ("train G_l1_spec_loss", "train loss")
    )
    assert 45 * term == pytest.approx(loss, rel=0.5) and 45 * term < loss
