"""Tests of resumed runs: changed settings, signals and damaged checkpoints.

Authors
 * The miipher2 authors 2026
"""

import multiprocessing
import os
import shutil
import signal
import subprocess

import pytest
import speechbrain
import torch
import yaml
from tiny_runs import logged

from miipher2.errors import UserError
from miipher2.training.adapter_brain import AdapterBrain
from miipher2.training.checkpoints import AtomicCheckpointer


@pytest.fixture
def options(tiny_backbone):
    return {"ssl_source": tiny_backbone, "ssl_layer": 2}


def validated(folder):
    """Return the steps of the validations."""
    return [int(step) for step in logged(folder, "step", r".* - train")]


@pytest.mark.parametrize(
    "first, then",
    [
        ({"grad_accumulation_factor": 3}, {"grad_accumulation_factor": 1}),
        ({"grad_accumulation_factor": 1}, {"grad_accumulation_factor": 3}),
        ({"batch_size": 2}, {"batch_size": 3}),
        ({"batch_size": 2}, {"batch_seconds": 1.2}),
        ({"valid_interval": 3}, {"valid_interval": 2}),
    ],
)
def test_a_run_is_resumed_with_other_batches_or_intervals(
    first, then, train, options, tmp_path
):
    """Every validation has a training loss and the right step."""
    options |= {"max_steps": 4, "valid_interval": 2}
    train("pa", tmp_path, **{**options, **first})
    options |= {"max_steps": 8, "resume_with_other_data": True}
    train("pa", tmp_path, **{**options, **then})
    steps = validated(tmp_path)
    assert steps[-2:] == [6, 8] and len(steps) == 4
    assert all(float(loss) > 0 for loss in logged(tmp_path, "train loss"))


def interrupt(monkeypatch, number, stop_stage, step):
    """Send a signal to a run and its workers in training or validation."""
    compute_forward = AdapterBrain.compute_forward

    def compute(brain, batch, stage):
        if stage == stop_stage and brain.optimizer_step == step:
            pids = [p.pid for p in multiprocessing.active_children()]
            assert pids
            # from another process: SIGTERM from the main process ends a worker
            kill = ["kill", f"-{int(number)}", *map(str, [*pids, os.getpid()])]
            subprocess.check_call(kill)
        return compute_forward(brain, batch, stage)

    monkeypatch.setattr(AdapterBrain, "compute_forward", compute)


@pytest.mark.parametrize(
    "number, stage",
    [
        (signal.SIGINT, speechbrain.Stage.TRAIN),
        (signal.SIGTERM, speechbrain.Stage.TRAIN),
        (signal.SIGINT, speechbrain.Stage.VALID),
    ],
)
def test_a_stopped_run_has_a_checkpoint_and_resumes_with_identical_results(
    number, stage, train, options, tmp_path, monkeypatch
):
    options |= {"max_steps": 6, "valid_interval": 4, "num_workers": 1}
    options |= {"valid_kinds": "[all, clipping]", "batch_size": 1}
    train("pa", tmp_path / "uninterrupted", **options)
    handler = signal.getsignal(number)
    step = 4 if stage == speechbrain.Stage.VALID else 2
    with monkeypatch.context() as patch:
        interrupt(patch, number, stage, step)
        with pytest.raises(SystemExit) as stop:
            train("pa", tmp_path / "stopped", **options)
    assert stop.value.code == 128 + number
    log = (tmp_path / "stopped/log.txt").read_text()
    done = step + (stage == speechbrain.Stage.TRAIN)
    name = signal.Signals(number).name
    assert f"stopped by {name} at step {done} of 6" in log
    assert list((tmp_path / "stopped/save").glob("*/CKPT.yaml"))
    assert signal.getsignal(number) == handler
    train("pa", tmp_path / "stopped", **options)
    for name in ("step", "train loss", "valid loss", "test loss"):
        expected = logged(tmp_path / "uninterrupted", name)
        assert logged(tmp_path / "stopped", name) == expected


@pytest.fixture
def checkpointer(tmp_path):
    """Return a checkpointer with checkpoints of the weights 0, 1 and 2."""
    module = torch.nn.Linear(1, 1, bias=False)
    checkpointer = AtomicCheckpointer(tmp_path, {"module": module})
    for value in range(3):
        module.weight.data.fill_(value)
        checkpointer.save_checkpoint(name=str(value), meta={"loss": -value})
    return checkpointer


def recovered(checkpointer, **options):
    checkpointer.recoverables["module"].weight.data.fill_(-1)
    checkpointer.recover_if_possible(**options)
    return int(checkpointer.recoverables["module"].weight)


@pytest.mark.parametrize("options", [{}, {"min_key": "loss"}])
@pytest.mark.parametrize(
    "file, size", [("module.ckpt", 0), ("module.ckpt", 99), ("CKPT.yaml", 0)]
)
def test_a_damaged_checkpoint_is_renamed_and_the_previous_one_is_loaded(
    file, size, options, checkpointer, tmp_path, caplog
):
    damaged = tmp_path / "CKPT+2"
    os.truncate(damaged / file, size)
    assert recovered(checkpointer, **options) == 1
    assert f"{damaged}: damaged checkpoint ({file}" in caplog.text
    assert (tmp_path / "damaged-CKPT+2").is_dir() and not damaged.exists()
    (tmp_path / "CKPT+1/module.ckpt").unlink()
    assert recovered(checkpointer, **options) == 0


def test_a_checkpoint_without_sizes_is_loaded(checkpointer, tmp_path):
    """Older versions wrote checkpoints without sizes."""
    for meta in tmp_path.glob("*/CKPT.yaml"):
        entries = yaml.safe_load(meta.read_text())
        del entries["sizes"]
        meta.write_text(yaml.dump(entries))
    assert recovered(checkpointer) == 2


def test_a_full_disk_is_reported_and_the_previous_checkpoint_is_kept(
    checkpointer, tmp_path, monkeypatch
):
    def full(*args, **kwargs):
        raise RuntimeError("PytorchStreamWriter failed:\nfile write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError) as error:
        checkpointer.save_and_keep_only(name="3")
    assert str(error.value).startswith(f"{tmp_path}/CKPT+3: ")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "CKPT+3").exists()
    assert recovered(checkpointer) == 2


def test_a_checkpoint_of_another_model_is_rejected(checkpointer, tmp_path):
    module = torch.nn.Linear(3, 1, bias=False)
    other = AtomicCheckpointer(tmp_path, {"module": module})
    with pytest.raises(UserError, match=f"{tmp_path}.CKPT.2: .*size mismatch"):
        other.recover_if_possible()
    assert (tmp_path / "CKPT+2").is_dir()


@pytest.mark.parametrize(
    "override, words",
    [
        ({"batch_size": 3}, "batch_size 2 .now 3"),
        ({"seed": 7}, "seed 1234 .now 7"),
        ({"degrade": "{clean_share: 0.5}"}, "degrade"),
    ],
)
def test_resuming_with_other_settings_is_rejected(
    override, words, trained, train, options, monkeypatch
):
    """The error is raised before a file is written or a model is built."""
    monkeypatch.setattr("train.load_hparams", None)
    folder = trained / "pa"
    before = (folder / "hyperparams.yaml").read_text()
    with pytest.raises(UserError, match=words) as error:
        train("pa", folder, **options, **override)
    assert f"{folder}/save" in str(error.value)
    for remedy in ("--output_folder=", "--resume_with_other_data=True"):
        assert remedy in str(error.value)
    assert (folder / "hyperparams.yaml").read_text() == before


def test_resuming_with_other_data_is_rejected_unless_allowed(
    train, corpus, options, tmp_path
):
    speech = tmp_path / "speech"
    shutil.copytree(corpus / "speech", speech)
    options |= {"data_folder": speech}
    train("pa", tmp_path / "run", **options)
    moved = speech.rename(tmp_path / "moved")
    options |= {"data_folder": moved, "max_steps": 3}
    train("pa", tmp_path / "run", **options)
    (moved / "train/train0/take1.wav").unlink()
    options |= {"max_steps": 4}
    with pytest.raises(UserError, match="other data: train_csv.*=True"):
        train("pa", tmp_path / "run", **options)
    train("pa", tmp_path / "run", **options, resume_with_other_data=True)
    assert validated(tmp_path / "run") == [2, 3, 4]
    log = (tmp_path / "run/log.txt").read_text()
    assert "other data: train_csv; continued with the new values" in log
