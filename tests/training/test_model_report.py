"""Tests of the evaluation of the exported model at the end of training.

Authors
 * The miipher2 authors 2026
"""

import csv
import shutil

import pytest
import soundfile

from miipher2.inference.restorer import Restorer

FOLDERS = ("input", "restored", "clean")


@pytest.fixture
def finish(trained, train, tiny_backbone, tmp_path):
    """Return a function that reruns stage 2 in a copy of its folder."""
    shutil.copytree(trained / "vocoder", tmp_path / "vocoder")

    def run(**options):
        return train(
            "vocoder",
            tmp_path / "vocoder",
            ssl_source=tiny_backbone,
            ssl_layer=2,
            cleaner_folder=trained / "pa",
            pretrain_steps=1,
            **options,
        )

    return run


def test_test_clips_are_restored_and_scored(finish, capsys):
    options = {"evaluate": True, "evaluation": "{metrics: [sisdr, lsd]}"}
    folder = finish(**options, valid_clips=2) / "evaluation"
    assert f"Scores of the test clips: {folder / 'report.html'}" in (
        capsys.readouterr().out
    )
    with open(folder / "files.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        assert row["status"] == "done" and row["notes"] == ""
        assert row["restored_lsd"] != row["input_lsd"] != "0.0000"
        lengths = {
            soundfile.info(folder / name / row["file"]).duration
            for name in FOLDERS
        }
        assert len(lengths) == 1
    assert (folder / "summary.md").exists()
    again = folder / "again.wav"
    restorer = Restorer.from_hparams(folder.parent / "model")
    restorer.restore_file(folder / "input" / rows[0]["file"], again)
    restored = folder / "restored" / rows[0]["file"]
    assert restored.read_bytes() == again.read_bytes()

    finish(**options, valid_clips=1)
    with open(folder / "files.csv", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["file"] == rows[0]["file"]


def test_no_report_is_written_by_default(finish):
    folder = finish()
    assert not (folder / "evaluation").exists()
