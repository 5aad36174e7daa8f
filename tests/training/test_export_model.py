"""Tests of ``miipher2 export-model``.

Authors
 * The miipher2 authors 2026
"""

import shutil

import pytest
import torch
from tiny_restorer import save_tiny_restorer

from miipher2.cli import main
from miipher2.dataio.manifests import write_manifest
from miipher2.errors import UserError
from miipher2.inference.restorer import Restorer
from miipher2.training.export_model import export_model

LOG = """\
step: 10, lr: 1.0e-04 - train loss: 3.5 - valid mel restored: 7.0e-01
step: 20, lr: 1.0e-05 - train loss: 2.5 - valid mel restored: 6.0e-01
step: 20 - test mel restored: 6.5e-01
"""
RUN = """\
seed: 7
__set_seed: !apply:speechbrain.utils.seed_everything [7]
lr: 0.1
train_csv: {moved}/train.csv
noise_csv:
rir_csv: {moved}/rir.csv
cleaner_folder: {folder}/stage1
start_folder:
ssl_source: /home/me/hubert-base
ssl_layer: 2
batch_size: 4
adapter_placement: feed_forward
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Create the output folders of stages 1 and 2; return the latter."""
    folder = tmp_path_factory.mktemp("runs")
    results = folder / "stage2"
    save_tiny_restorer(results)
    shutil.copy(
        results / "model/vocoder.safetensors",
        results / "model/discriminator.safetensors",
    )
    yaml = results / "model/hyperparams.yaml"
    text = yaml.read_text("utf-8")
    head, modules = text.split("    sample_rate: 24000\n\n", 1)
    text = f"{head}    sample_rate: 24000\n    warm_start:\n\n{modules}"
    yaml.write_text(text, "utf-8")
    (folder / "stage1").mkdir()
    run = RUN.format(moved="/gone", folder=folder)
    for stage in (results, folder / "stage1"):
        (stage / "hyperparams.yaml").write_text(run)
        (stage / "env.log").write_text("")
        (stage / "train_log.txt").write_text(LOG)
    rows = [
        {"ID": f"{n}", "duration": 1800.0, "wav": f"{n % 3}.wav"}
        | {"spk_id": n}
        for n in range(4)
    ]
    write_manifest(results / "train.csv", rows)
    return results


def test_an_export_has_no_training_files_and_restores_like_the_original(
    results, tmp_path
):
    out = tmp_path / "shared"
    line = export_model(results, out)
    assert line.endswith(f"--model {out}")
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == [
        "README.md",
        "backbone/config.json",
        "backbone/model.safetensors",
        "backbone/preprocessor_config.json",
        "cleaner.safetensors",
        "hyperparams.yaml",
        "vocoder.safetensors",
    ]
    assert "warm_start" not in (out / "hyperparams.yaml").read_text("utf-8")
    wav = torch.randn(16000, generator=torch.Generator().manual_seed(0))
    moved = out.rename(tmp_path / "moved")
    outputs = [
        Restorer.from_hparams(model, run_opts={"device": "cpu"}).restore(wav)
        for model in (results, moved)
    ]
    assert torch.equal(*outputs)
    assert list(tmp_path.iterdir()) == [moved]


def test_the_card_describes_the_run(results, tmp_path):
    report = tmp_path / "report"
    report.mkdir()
    (report / "summary.md").write_text("# Scores\n\n| group | OVRL |\n")
    licences = ("cc-by-4.0", "CC0")
    export_model(results, tmp_path / "out", report=report, licences=licences)
    card = (tmp_path / "out/README.md").read_text("utf-8")
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    for text in (
        "# out\n",
        "encoder: hubert-base, layer 2",
        "vocoder: HiFiGAN",
        # a repeated recording is counted once
        "| speech, training | 3 | 1.50 | 3 |",
        "| room impulse responses, training | manifest not found |",
        "Stage 1, adapters: 20 steps (batch_size 4, lr 0.1, seed 7).",
        "Stage 2, vocoder: 20 steps",
        "| 20 | 1.0e-05 | 2.5 | 6.0e-01 |  |",
        "| 20 |  |  |  | 6.5e-01 |",
        "### Scores",
        "| code (miipher2) | MIT |",
        "| weights | cc-by-4.0 |",
        "| training data | CC0 |",
        "Do not use it",
    ):
        assert text in card, text
    assert "/home/me" not in card and "noise, training" not in card


def test_the_card_for_an_encoder_built_from_a_config_names_no_source(
    results, tmp_path
):
    run = results / "hyperparams.yaml"
    text = run.read_text()
    config = "!new:transformers.HubertConfig"
    run.write_text(text.replace("/home/me/hubert-base", config))
    try:
        export_model(results, tmp_path / "shared")
    finally:
        run.write_text(text)
    card = (tmp_path / "shared/README.md").read_text("utf-8")
    assert "| encoder: built from a config, layer 2 |" in card
    assert "The encoder contains no weights from another project." in card


def test_the_card_states_that_licences_and_scores_are_missing(
    results, tmp_path
):
    export_model(results, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text("utf-8")
    assert "license:" not in card and "Not evaluated" in card
    assert card.count("not stated: ask the author") == 2


def test_a_pushed_model_is_loaded_from_the_hub(
    results, tmp_path, local_hub, capsys
):
    out = tmp_path / "out"
    command = ["export-model", str(results), str(out), "--push", "me/tiny"]
    assert main(command) == 0
    assert "--model me/tiny" in capsys.readouterr().out
    assert sorted(local_hub.repositories["me/tiny"]["main"]) == sorted(
        p.relative_to(out).as_posix() for p in out.rglob("*.*")
    )
    assert "--model me/tiny" in (out / "README.md").read_text("utf-8")
    restorer = Restorer.from_hparams("me/tiny", run_opts={"device": "cpu"})
    assert len(restorer.restore(torch.zeros(16000))) == 24000


def test_a_failed_push_keeps_the_folder(
    results, tmp_path, local_hub, monkeypatch
):
    monkeypatch.delenv("HF_TOKEN")
    out = tmp_path / "out"
    with pytest.raises(
        UserError, match="is complete, but .*no valid access token"
    ):
        export_model(results, out, push="me/tiny")
    assert (out / "README.md").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: shutil.rmtree(run / "model"), "contains the model once"),
        (lambda run: (run / "train_log.txt").unlink(), "no train_log.txt"),
        (lambda run: shutil.rmtree(run), "no such folder"),
    ],
)
def test_missing_and_incomplete_results_are_rejected(
    results, tmp_path, change, message
):
    run = shutil.copytree(results, tmp_path / "run")
    change(run)
    with pytest.raises(UserError, match=message):
        export_model(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_report_without_a_summary_is_rejected_and_leaves_no_output(
    results, tmp_path
):
    with pytest.raises(UserError, match=r"no summary.md"):
        export_model(results, tmp_path / "out", report=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_hub_name_and_a_folder_that_is_not_empty_are_rejected(
    results, tmp_path
):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="exists"):
        export_model(results, tmp_path)
    with pytest.raises(UserError, match="expected USER/NAME"):
        export_model(results, tmp_path / "out", push="name")


def test_a_model_that_needs_custom_code_is_rejected(results, tmp_path):
    run = shutil.copytree(results, tmp_path / "run")
    yaml = run / "model/hyperparams.yaml"
    text = yaml.read_text("utf-8") + "\nextra: !new:mine.Vocoder\n"
    yaml.write_text(text, "utf-8")
    with pytest.raises(UserError, match="!new:mine.Vocoder"):
        export_model(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
