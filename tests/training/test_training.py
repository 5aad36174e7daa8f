"""Tests of training runs: all stages, resuming, exports and two processes.

Authors
 * The miipher2 authors 2026
"""

import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import speechbrain
import torch
from tiny_models import FAMILIES, save_tiny_backbone
from tiny_runs import ROOT, arguments

from miipher2.errors import UserError
from miipher2.inference.restorer import Restorer
from miipher2.models.weights import load_weights
from miipher2.training.losses import FeatureLoss
from miipher2.training.vocoder_brain import VocoderBrain

TRAIN_ADAPTERS = {"train_adapters": True, "pretrain_steps": 0}


def logged_values(folder, name):
    """Return the logged values of a statistic."""
    text = (folder / "train_log.txt").read_text()
    return [float(x) for x in re.findall(rf"{name}: ([\d.e+-]+)", text)]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_backbone_family_trains_with_one_override(
    family, train, tmp_path
):
    folder = save_tiny_backbone(tmp_path / "ssl", family)
    include = tmp_path / "ssl.yaml"
    include.write_text(f"source: {folder}\nlayer: 2\n")
    train("pa", tmp_path / "pa", ssl=f"!include:{include}")
    assert (tmp_path / "pa/model/cleaner.safetensors").exists()
    ratio = logged_values(tmp_path / "pa", "valid ratio")
    assert ratio and 0 < ratio[-1] < 10


def test_adapters_learn_and_each_degradation_is_reported(
    train, tiny_backbone, tmp_path
):
    train(
        "pa",
        tmp_path,
        ssl_source=tiny_backbone,
        ssl_layer=2,
        max_steps=60,
        valid_interval=20,
        warmup_steps=2,
        lr=0.003,
        batch_size=4,
        adapter_bottleneck=16,
        valid_kinds="[noise, clipping]",
    )
    loss = logged_values(tmp_path, "train loss")
    assert loss[-1] < 0.9 * loss[0]
    for name in ("l1", "l2", "sc", "ratio noise", "ratio clipping"):
        assert len(logged_values(tmp_path, f"valid {name}")) == 3


def test_stage_2_starts_with_clean_features_and_exports_a_model(trained):
    folder = trained / "vocoder"
    log = (folder / "log.txt").read_text()
    assert "vocoder input: clean features" in log
    assert len(list((folder / "samples").rglob("*_predicted.wav"))) == 1
    names = {p.name for p in (folder / "model").iterdir()}
    assert names == {
        "backbone",
        "cleaner.safetensors",
        "hyperparams.yaml",
        "vocoder.safetensors",
    }
    # the adapters of stage 1 are exported unchanged
    exported, _ = load_weights(folder / "model/cleaner.safetensors")
    adapters, _ = load_weights(trained / "pa/model/cleaner.safetensors")
    assert exported.keys() == adapters.keys()
    assert all(torch.equal(exported[k], adapters[k]) for k in exported)


def test_the_vocoder_learns_and_a_resumed_run_continues_on_clean_features(
    train, trained, tiny_backbone, tmp_path
):
    options = {
        "ssl_source": tiny_backbone,
        "ssl_layer": 2,
        "cleaner_folder": trained / "pa",
        "mel_steps": 100,
        "pretrain_steps": 25,
        "valid_interval": 20,
        "warmup_steps": 5,
        "lr": 0.002,
    }
    train("vocoder", tmp_path, max_steps=20, **options)
    train("vocoder", tmp_path, max_steps=60, **options)
    loss = logged_values(tmp_path, "train loss")
    assert len(loss) == 3 and loss[-1] < 0.99 * loss[0]
    assert len(logged_values(tmp_path, "valid mel clean")) == 1
    assert len(logged_values(tmp_path, "valid mel restored")) == 2
    log = (tmp_path / "log.txt").read_text()
    inputs = re.findall(r"vocoder input: (\w+) features", log)
    assert inputs == ["clean", "clean", "restored"]
    assert "resumed at step 20 of 60" in log
    assert log.count("trained on clean features only, for 20 steps") == 1


def test_the_discriminator_is_updated_only_after_mel_steps(
    train, trained, tiny_backbone, tmp_path
):
    train(
        "vocoder",
        tmp_path,
        ssl_source=tiny_backbone,
        ssl_layer=2,
        cleaner_folder=trained / "pa",
        max_steps=4,
        valid_interval=2,
        mel_steps=2,
    )
    (save,) = (tmp_path / "save").glob("CKPT+*")
    for network, steps in (("generator", 4), ("discriminator", 2)):
        optimizer = torch.load(save / f"opt_{network}.ckpt", weights_only=True)
        assert {s["step"].item() for s in optimizer["state"].values()} == {
            steps
        }


@pytest.mark.parametrize("batches", [1, 2])
def test_each_network_gets_gradients_of_its_own_loss_only(
    batches, train, trained, tiny_backbone, tmp_path, monkeypatch
):
    """The gradients equal the gradients of separate passes for each loss."""
    checked = []

    class Checked(VocoderBrain):
        def adversarial_losses(self, predicted, target):
            predicted.retain_grad()
            self.pairs = [*getattr(self, "pairs", []), (predicted, target)]
            return super().adversarial_losses(predicted, target)

        def optimizers_step(self):
            discriminator = self.modules.discriminator
            parameters = list(discriminator.parameters())
            sums = [torch.zeros_like(p) for p in parameters]
            for predicted, target in self.pairs:
                real = discriminator(target)
                fake = discriminator(predicted.detach())
                loss = self.discriminator_loss(fake[0], real[0])["D_loss"]
                for total, part in zip(
                    sums, torch.autograd.grad(loss, parameters), strict=True
                ):
                    total += part / batches
                leaf = predicted.detach().requires_grad_()
                scores, features = discriminator(leaf)
                loss = self.generator_loss(
                    stage, leaf, target, scores, features, real[1]
                )["G_loss"]
                (expected,) = torch.autograd.grad(loss / batches, leaf)
                torch.testing.assert_close(predicted.grad, expected)
                checked.append(predicted.grad.abs().max())
            gradients = [parameter.grad for parameter in parameters]
            torch.testing.assert_close(gradients, sums)
            self.pairs = []
            super().optimizers_step()

    stage = speechbrain.Stage.TRAIN
    monkeypatch.setattr("miipher2.training.vocoder_brain.VocoderBrain", Checked)
    train(
        "vocoder",
        tmp_path,
        ssl_source=tiny_backbone,
        ssl_layer=2,
        cleaner_folder=trained / "pa",
        max_steps=2,
        mel_steps=0,
        pretrain_steps=0,
        grad_accumulation_factor=batches,
    )
    assert len(checked) == 2 * batches and min(checked) > 0


def test_adapters_train_with_the_vocoder_and_are_saved_in_checkpoints(
    train, trained, tiny_backbone, tmp_path
):
    options = {
        "ssl_source": tiny_backbone,
        "ssl_layer": 2,
        "cleaner_folder": trained / "pa",
        **TRAIN_ADAPTERS,
    }
    train("vocoder", tmp_path, max_steps=2, **options)
    file = "model/cleaner.safetensors"
    before, _ = load_weights(trained / "pa" / file)
    after, _ = load_weights(tmp_path / file)
    assert not any(torch.equal(before[name], after[name]) for name in before)
    options |= {"max_steps": 3, "resume_with_other_data": True}
    train("vocoder", tmp_path, lr=0.0, **options)
    resumed, _ = load_weights(tmp_path / file)
    assert all(torch.equal(after[name], resumed[name]) for name in after)


@pytest.mark.parametrize("mel_steps, exported", [(100, 2), (0, 4)])
def test_only_adversarial_runs_export_the_last_checkpoint(
    mel_steps, exported, train, trained, tiny_backbone, tmp_path, monkeypatch
):
    """The mel error rises, so the last checkpoint is not the best."""
    monkeypatch.setattr(
        VocoderBrain,
        "stage_stats",
        lambda brain: {brain.best_key: brain.optimizer_step},
    )
    train(
        "vocoder",
        tmp_path,
        ssl_source=tiny_backbone,
        ssl_layer=2,
        cleaner_folder=trained / "pa",
        max_steps=4,
        mel_steps=mel_steps,
        pretrain_steps=0,
    )
    saves = sorted((tmp_path / "save").glob("CKPT+*"))
    assert len(saves) == 2  # after steps 2 and 4
    assert_same_weights(
        tmp_path / "model/vocoder.safetensors",
        saves[exported // 2 - 1] / "generator.ckpt",
    )
    log = (tmp_path / "log.txt").read_text()
    assert "exported at the end: the last checkpoint" in log
    assert ("mel_steps=" in log) == (mel_steps > 0)


def test_a_finished_run_is_not_trained_again(train, tiny_backbone, tmp_path):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    train("pa", tmp_path, **options)
    train("pa", tmp_path, **options)
    assert len(logged_values(tmp_path, "valid loss")) == 1


@pytest.mark.parametrize(
    "first, then, steps",
    [((3, 2), (8, 2), [2, 3, 5, 7, 8]), ((4, 4), (6, 1), [4, 5, 6])],
)
def test_a_run_can_be_extended(
    first, then, steps, train, tiny_backbone, tmp_path
):
    for max_steps, valid_interval in (first, then):
        train(
            "pa",
            tmp_path,
            ssl_source=tiny_backbone,
            ssl_layer=2,
            max_steps=max_steps,
            valid_interval=valid_interval,
        )
    lines = (tmp_path / "train_log.txt").read_text().splitlines()
    validated = [
        int(re.match(r"step: (\d+)", line)[1])
        for line in lines
        if "valid" in line
    ]
    assert validated == steps


def test_test_only_evaluates_the_trained_vocoder(
    train_script, corpus, trained, tiny_backbone, tmp_path
):
    command_line = arguments(
        "vocoder",
        corpus,
        tmp_path,
        cleaner_folder=trained / "pa",
        ssl_source=tiny_backbone,
        ssl_layer=2,
        pretrain_steps=1,
    )
    with pytest.raises(UserError, match="no checkpoint"):
        train_script.main([*command_line, "--test_only"])
    train_script.main(command_line)
    weights = tmp_path / "model/vocoder.safetensors"
    before = weights.read_bytes()
    train_script.main([*command_line, "--test_only"])
    assert weights.read_bytes() == before
    first, second = logged_values(tmp_path, "test mel restored")
    assert first == second


def test_training_without_noise_must_be_requested(
    train, tiny_backbone, tmp_path
):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    with pytest.raises(UserError, match="--noise_folder=FOLDER"):
        train("pa", tmp_path, noise_folder="null", **options)
    names = ("noise_csv", "valid_noise_csv", "rir_csv", "valid_rir_csv")
    options |= dict.fromkeys(names, "null")
    train("pa", tmp_path, noise_folder="null", rir_folder="null", **options)
    assert logged_values(tmp_path, "valid loss")


def test_an_error_in_a_worker_process_is_reported_in_one_line(
    train, corpus, tiny_backbone, tmp_path
):
    broken = tmp_path / "speech"
    shutil.copytree(corpus / "speech", broken)
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    options |= {"data_folder": broken, "valid_interval": 1}
    train("pa", tmp_path / "run", max_steps=1, **options)
    for path in broken.rglob("train*/take1.wav"):
        path.write_bytes(b"not audio")  # after preparation
    options |= {"max_steps": 50, "num_workers": 1, "skip_prep": True}
    done = subprocess.run(
        [sys.executable, *command("pa", corpus, tmp_path / "run", **options)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and "take1.wav" in last


def test_accumulated_batches_count_as_one_step(train, tiny_backbone, tmp_path):
    train(
        "pa",
        tmp_path,
        ssl_source=tiny_backbone,
        ssl_layer=2,
        grad_accumulation_factor=3,
        max_steps=4,
    )
    assert logged_values(tmp_path, "step")[:2] == [2, 4]


def test_the_optimizer_step_limit_ends_a_run_early(
    train_script, corpus, tiny_backbone, tmp_path
):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2, "max_steps": 6}
    command_line = arguments("pa", corpus, tmp_path, **options)
    train_script.main([*command_line, "--optimizer_step_limit=3"])
    assert logged_values(tmp_path, "step") == [2, 3, 3]


def test_debug_runs_two_short_epochs_and_exports_only_if_persistent(
    train_script, corpus, tiny_backbone, tmp_path
):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    options |= {"max_steps": 50, "valid_interval": 10}
    command_line = arguments("pa", corpus, tmp_path, **options)
    train_script.main([*command_line, "--debug"])
    assert logged_values(tmp_path, "step") == [2, 4, 4]
    assert not (tmp_path / "model").exists()
    assert not list((tmp_path / "save").glob("CKPT+*"))
    train_script.main([*command_line, "--debug", "--debug_persistently"])
    assert (tmp_path / "model/cleaner.safetensors").exists()


@pytest.mark.parametrize("stage", ["ssl", "pa", "vocoder"])
def test_the_compact_experiments_train_in_bf16(
    stage, train, trained, tiny_backbone, tmp_path
):
    options = {}
    if stage != "ssl":
        options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    if stage == "vocoder":
        pytest.importorskip("swift_f0")
        options |= {"cleaner_folder": trained / "pa", "vocoder_frames": 12}
    train(f"compact/{stage}", tmp_path, **options)
    assert " in bf16, started" in (tmp_path / "log.txt").read_text()
    assert (tmp_path / "model").is_dir()


def test_batches_by_duration_can_be_used_with_bf16(
    train, tiny_backbone, tmp_path
):
    train(
        "pa",
        tmp_path,
        ssl_source=tiny_backbone,
        ssl_layer=2,
        batch_seconds=2.0,
        precision="bf16",
    )
    assert logged_values(tmp_path, "valid loss")


def command(stage, corpus, output, **overrides):
    options = arguments(stage, corpus, output, **overrides)
    return [str(ROOT / "train.py"), *options]


LONG = {
    "ssl_layer": 2,
    "max_steps": 24,
    "valid_interval": 8,
    "ckpt_interval_steps": 3,
    "ckpt_interval_minutes": 0,
}


@pytest.mark.slow
def test_a_killed_run_resumes_with_identical_results(
    train, corpus, tiny_backbone, tmp_path
):
    options = {"ssl_source": tiny_backbone, **LONG}
    train("pa", tmp_path / "uninterrupted", **options)
    run = subprocess.Popen(
        [
            sys.executable,
            *command("pa", corpus, tmp_path / "killed", **options),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # for equal rounding
        stderr=subprocess.DEVNULL,
    )
    saves = tmp_path / "killed/save"
    deadline = time.time() + 120
    while time.time() < deadline and not list(saves.glob("*/CKPT.yaml")):
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert not (tmp_path / "killed/model").exists()
    train("pa", tmp_path / "killed", **options)
    log = (tmp_path / "killed/log.txt").read_text()
    assert re.search(r"resumed at step \d+ of 24", log)
    for name in ("train loss", "valid loss", "test loss"):
        expected = logged_values(tmp_path / "uninterrupted", name)
        assert logged_values(tmp_path / "killed", name)[-1] == expected[-1]
    expected, resumed = (
        load_weights(tmp_path / name / "model/cleaner.safetensors")[0]
        for name in ("uninterrupted", "killed")
    )
    assert all(torch.equal(expected[k], resumed[k]) for k in expected)


def test_an_incomplete_checkpoint_is_removed(train, tiny_backbone, tmp_path):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    train("pa", tmp_path, **options)
    incomplete = tmp_path / "save/CKPT+2999-01-01+00-00-00+00"
    incomplete.mkdir()
    (incomplete / "CKPT.yaml.partial").write_text("unixtime: 1e12\n")
    (incomplete / "cleaner.ckpt").write_bytes(b"truncated")
    train("pa", tmp_path, **{**options, "max_steps": 4})
    assert not incomplete.exists()
    assert logged_values(tmp_path, "valid loss")[1:]


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage, extra", [("pa", {}), ("vocoder", {}), ("vocoder", TRAIN_ADAPTERS)]
)
def test_training_runs_in_two_processes(
    stage, extra, corpus, trained, tiny_backbone, tmp_path
):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2, "max_steps": 4}
    if stage == "vocoder":
        options |= {"cleaner_folder": trained / "pa", "mel_steps": 2}
    options |= extra
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [
            *launch,
            "--nproc_per_node=2",
            *command(stage, corpus, tmp_path, **options),
            "--distributed_backend=gloo",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    log = (tmp_path / "train_log.txt").read_text()
    assert log.count("step: 4 - test") == 1
    assert (tmp_path / "model/cleaner.safetensors").exists()
    assert len(list((tmp_path / "save").glob("CKPT+*"))) >= 1


def test_invalid_paths_names_and_layers_are_reported_in_one_line(
    train, tiny_backbone, tmp_path
):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    for overrides, word in (
        ({"data_folder": tmp_path / "nowhere"}, "nowhere"),
        ({"noise_folder": tmp_path / "silence"}, "silence"),
        ({"ssl_source": tmp_path / "nomodel"}, "nomodel"),
        ({"ssl_layer": 9}, "layer 9"),
        ({"prepare": "!name:folder_prepare.prepare_foldr"}, "prepare_foldr"),
    ):
        with pytest.raises(UserError, match=word) as error:
            train("pa", tmp_path / "run", **{**options, **overrides})
        assert "\n" not in str(error.value)
        assert not (tmp_path / "run/model").exists()


def test_a_vocoder_that_does_not_fit_the_backbone_is_rejected(
    train, trained, tmp_path
):
    include = tmp_path / "v.yaml"
    small = (ROOT / "hparams/models/vocoder/hifigan_small.yaml").read_text()
    include.write_text(small.replace("[8, 8, 5]", "[8, 8, 4]"))
    with pytest.raises(UserError, match="12800 Hz"):
        train(
            "vocoder",
            tmp_path / "run",
            cleaner_folder=trained / "pa",
            ssl_source=trained / "vocoder/model/backbone",
            ssl_layer=2,
            vocoder=f"!include:{include}",
        )


def test_a_vocoder_can_be_trained_without_stage_one(
    train, tiny_backbone, tmp_path
):
    train(
        "vocoder",
        tmp_path,
        ssl_source=tiny_backbone,
        ssl_layer=2,
        cleaner_folder="null",
    )
    adapters, _ = load_weights(tmp_path / "model" / "cleaner.safetensors")
    up = [value for name, value in adapters.items() if "adapter_up" in name]
    assert up and not any(value.any() for value in up)
    restorer = Restorer.from_hparams(tmp_path / "model")
    assert restorer.restore(torch.zeros(8000)).shape == (8000,)


def test_training_runs_in_the_recipe_folder(corpus, tiny_backbone, tmp_path):
    recipe = ROOT / "recipes/LibriTTS/restoration/miipher2"
    command_line = arguments(
        "pa", corpus, tmp_path, ssl_source=tiny_backbone, ssl_layer=2
    )
    done = subprocess.run(
        [sys.executable, "train.py", "hparams/pa.yaml", *command_line[1:]],
        cwd=recipe,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "hparams/vocoder.yaml --cleaner_folder" in done.stdout


def test_minutes_end_a_run_and_compress_the_schedule(
    train, tmp_path, tiny_backbone
):
    train(
        "pa",
        tmp_path,
        ssl_source=tiny_backbone,
        ssl_layer=2,
        minutes=0.05,
        max_steps=100000,
        valid_interval=100000,
        warmup_steps=10,
    )
    (line,) = (tmp_path / "train_log.txt").read_text().splitlines()[:1]
    steps = int(re.search(r"step: (\d+)", line)[1])
    assert 0 < steps < 100000
    log = (tmp_path / "log.txt").read_text()
    assert "started at step 0 in a run of 0.05 minutes" in log
    # the learning rate has cooled down
    assert float(re.search(r"lr: ([\d.e+-]+)", line)[1]) < 0.0002 / 5
    assert (tmp_path / "model/cleaner.safetensors").exists()


def test_max_steps_does_not_end_a_run_limited_by_minutes(
    train, tmp_path, tiny_backbone
):
    backbone = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    options = {"minutes": 0.05, "max_steps": 1, "valid_interval": 100000}
    train("pa", tmp_path, **options, **backbone)
    line = (tmp_path / "train_log.txt").read_text().splitlines()[0]
    assert int(re.search(r"step: (\d+)", line)[1]) > 1


def test_vocoder_segments_longer_than_the_crop_are_rejected(
    train, trained, tmp_path, tiny_backbone
):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    options |= {"cleaner_folder": trained / "pa", "vocoder_frames": 31}
    with pytest.raises(UserError) as error:
        train("vocoder", tmp_path, **options)
    assert str(error.value) == (
        "--vocoder_frames=31: 0.62 s is longer than --segment_seconds=0.6; "
        "reduce --vocoder_frames to 30, or increase --segment_seconds to 0.62"
    )
    assert not (tmp_path / "log.txt").exists()


def test_start_folder_initialises_a_run(
    train, trained, tmp_path, tiny_backbone
):
    backbone = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    no_training = {"max_steps": 1, "valid_interval": 1, "lr": 0.0}
    train(
        "pa",
        tmp_path / "pa",
        start_folder=trained / "pa",
        **backbone,
        **no_training,
    )
    name = "model/cleaner.safetensors"
    assert_same_weights(trained / "pa" / name, tmp_path / "pa" / name)
    train(
        "vocoder",
        tmp_path / "half",
        cleaner_folder=trained / "pa",
        start_folder=trained / "vocoder/model",
        export_half=True,
        **backbone,
        **no_training,
    )
    half = tmp_path / "half/model"
    full = trained / "vocoder/model/vocoder.safetensors"
    assert (half / full.name).stat().st_size < 0.6 * full.stat().st_size
    assert_same_weights(half / full.name, full, atol=1e-2)
    assert_same_weights(
        half / "backbone/model.safetensors",
        trained / "vocoder/model/backbone/model.safetensors",
        atol=1e-2,
    )
    # a model exported in half precision includes the discriminator
    train(
        "vocoder",
        tmp_path / "next",
        cleaner_folder=half,
        start_folder=half,
        export_half=True,
        **backbone,
        **no_training,
    )
    for name in ("vocoder", "discriminator", "cleaner"):
        file = f"{name}.safetensors"
        assert_same_weights(half / file, tmp_path / "next/model" / file)
    with pytest.raises(UserError, match="no vocoder.safetensors in this"):
        train(
            "vocoder",
            tmp_path / "no",
            cleaner_folder=trained / "pa",
            start_folder=trained / "pa",
            **backbone,
        )


def assert_same_weights(first, second, atol=0.0):
    """Compare two weight files."""
    first, second = load_weights(first)[0], load_weights(second)[0]
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.allclose(
            tensor.float(), second[name].float(), rtol=1e-3, atol=atol
        ), name


def test_a_harmonic_vocoder_trains_with_pitch_and_averaging(
    train, trained, tmp_path, tiny_backbone, monkeypatch
):
    pytest.importorskip("swift_f0")
    monkeypatch.chdir(tmp_path)  # pitch is cached in results/pitch
    train(
        "vocoder",
        tmp_path,
        cleaner_folder=trained / "pa",
        ssl_source=tiny_backbone,
        ssl_layer=2,
        vocoder="!include:models/vocoder/harmonic.yaml",
        average_decay=0.5,
        mel_steps=1,
        max_steps=3,
        valid_interval=2,
    )
    assert list((tmp_path / "results/pitch").glob("*.npy"))
    (save, *_) = sorted((tmp_path / "save").glob("CKPT+*"))[::-1]
    latest = load_weights(save / "generator.ckpt")[0]
    exported = load_weights(tmp_path / "model/vocoder.safetensors")[0]
    assert not torch.equal(exported["pitch.weight"], latest["pitch.weight"])
    restorer = Restorer.from_hparams(str(tmp_path / "model"))
    assert restorer.restore_batch(torch.randn(1, 8000)).shape == (1, 8000)


def test_the_last_line_has_the_result_and_the_next_command(
    train, corpus, trained, tiny_backbone, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    train("pa", tmp_path / "pa", **options)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("Trained for 2 steps (default: 800,000), test ratio")
    assert "Good results need more steps" in line
    command = shlex.split(line.partition("Train the vocoder with: ")[2])
    assert command[1] == "train.py" and command[2].endswith("vocoder.yaml")
    for key in ("data_folder", "noise_folder", "rir_folder"):
        assert any(option.startswith(f"--{key}={corpus}") for option in command)
    # stage 2 uses the backbone of stage 1, so the command does not name it
    tiny = arguments("vocoder", corpus, tmp_path / "vocoder")
    settings = ("batch", "segment", "num", "max", "valid", "device", "vocoder")
    settings = tuple(f"--{name}" for name in (*settings, "discriminator"))
    tiny = [option for option in tiny if option.startswith(settings)]
    output = f"--output_folder={tmp_path / 'vocoder'}"
    run_script = sys.modules["train"].main
    run_script([*command[2:], *tiny, output, "--noprogressbar"])
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("Trained for 2 steps (default: 875,000), test mel")


def test_the_error_for_a_nonfinite_loss_names_step_and_clips(
    train, tiny_backbone, tmp_path, monkeypatch
):
    forward = FeatureLoss.forward

    def nan_forward(loss, predicted, *others):
        return forward(loss, predicted * float("nan"), *others)

    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    train("pa", tmp_path, **options)
    monkeypatch.setattr(FeatureLoss, "forward", nan_forward)
    with pytest.raises(UserError, match="^step 3: the loss is nan; clips") as e:
        train("pa", tmp_path, **options | {"max_steps": 4})
    assert "all/train" in str(e.value) and "\n" not in str(e.value)
    monkeypatch.undo()
    train("pa", tmp_path, **options | {"max_steps": 4})
    assert logged_values(tmp_path, "step")[-1] == 4


def test_slow_runs_log_a_warning_and_the_bar_shows_the_whole_run(
    train_script, corpus, tiny_backbone, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("miipher2.training.run_progress.WARN_DAYS", 0)
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2, "max_steps": 6}
    command_line = arguments("pa", corpus, tmp_path, **options)
    command_line.remove("--noprogressbar")
    train_script.main(command_line)
    captured = capsys.readouterr()
    assert captured.out.count("the remaining 4 steps take about") == 1
    assert "6/6" in captured.err and "step/s" in captured.err
    assert "0/2" not in captured.err
    log = (tmp_path / "log.txt").read_text()
    assert "exported at the end: the checkpoint with the lowest valid" in log
    assert "a crash loses up to 15 minutes" in log


def test_a_warning_about_a_large_vocoder_on_a_cpu_names_a_small_one(
    train, trained, tiny_backbone, tmp_path, monkeypatch
):
    monkeypatch.setattr("miipher2.training.vocoder_brain.LARGE", 1e5)
    train(
        "vocoder",
        tmp_path,
        cleaner_folder=trained / "pa",
        ssl_source=tiny_backbone,
        ssl_layer=2,
    )
    log = (tmp_path / "log.txt").read_text()
    first = log.index("models/vocoder/hifigan_small.yaml")
    assert first < log.index("VocoderBrain on cpu")


def test_the_step_limit_must_be_a_number(
    train_script, corpus, tiny_backbone, tmp_path
):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    command_line = arguments("pa", corpus, tmp_path, **options)
    with pytest.raises(UserError, match="--optimizer_step_limit=abc"):
        train_script.main([*command_line, "--optimizer_step_limit=abc"])


@pytest.mark.parametrize("key", ["max_steps", "valid_interval"])
def test_counts_below_one_are_rejected(key, train, tiny_backbone, tmp_path):
    options = {"ssl_source": tiny_backbone, "ssl_layer": 2, key: 0}
    with pytest.raises(UserError, match=f"--{key}=0: must be at least 1"):
        train("pa", tmp_path, **options)


def test_the_warning_about_figures_is_hidden():
    logger = logging.getLogger("speechbrain.utils.train_logger")
    text = "torchvision is not available - cannot save figures"
    record = logger.makeRecord(logger.name, 30, "", 0, text, (), None)
    assert not logger.filter(record)
