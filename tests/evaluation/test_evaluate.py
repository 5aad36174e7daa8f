"""Tests of the evaluation of folders.

Authors
 * The miipher2 authors 2026
"""

import csv

import numpy
import pytest
import soundfile
from toy_metrics import RATE, speech, write, write_m4a

from miipher2.dataio.audio import read_audio
from miipher2.errors import UserError
from miipher2.evaluation import evaluate
from miipher2.evaluation.excerpts import excerpts
from miipher2.evaluation.matching import Folder, read_texts
from miipher2.evaluation.recognition import transcript


def sides(folder):
    return {
        "restored": folder / "restored",
        "reference": folder / "clean",
        "source": folder / "input",
        "output": folder / "report",
    }


def rows_of(report):
    with open(report.files_csv, newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def cells_of(report):
    lines = report.table().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines]
    return [[cell.strip() for cell in row] for row in rows]


def test_files_match_without_suffix(tmp_path):
    for name in ("x/a.flac", "a.wav", "a.mp3", "b.c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    folder = Folder(tmp_path)
    assert folder.find("x/a.wav") == "x/a.flac"
    assert folder.find("a.wav") == "a.wav"
    assert folder.find("a.mp3.wav") == "a.mp3"
    assert folder.find("b.c.flac") == "b.c.wav"
    assert folder.find("c.wav") is None
    with pytest.raises(UserError, match="a.mp3 and a.wav"):
        folder.find("a.ogg")


def test_unusable_folders_raise(folders, tmp_path, toy_metrics):
    with pytest.raises(UserError, match="no: "):
        evaluate.evaluate(tmp_path / "no", tmp_path / "report")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: contains no recordings"):
        evaluate.evaluate(
            folders / "restored",
            folders / "report",
            reference=tmp_path / "empty",
        )
    write(tmp_path / "other" / "z.wav", speech())
    with pytest.raises(UserError, match="other: no file matches"):
        evaluate.evaluate(
            folders / "restored",
            folders / "report",
            reference=tmp_path / "other",
        )


def test_transcripts_are_read_and_checked(tmp_path, folders):
    path = tmp_path / "texts.csv"
    path.write_text("\ufeffID,text\na,Été\nx/a,Two\n", encoding="utf-8")
    texts = read_texts(path, "text")
    assert transcript(texts, "x/a.wav") == "Two"
    assert transcript(texts, "y/a.wav") == "Été"
    assert transcript(texts, "y/b.wav") is None
    with pytest.raises(UserError, match="--recogniser"):
        evaluate.evaluate(
            folders / "restored", folders / "report", transcripts=path
        )
    path.write_text("ID,words\na,b\n")
    with pytest.raises(UserError, match="expected the columns ID,text"):
        read_texts(path, "text")
    path.write_text("ID,text\nother,b\n")
    with pytest.raises(UserError, match="no ID matches"):
        evaluate.evaluate(
            folders / "restored",
            folders / "report",
            recogniser="whisper",
            transcripts=path,
        )


def test_table_has_sides_and_groups(folders, toy_metrics):
    report = evaluate.evaluate(**sides(folders))
    head, _, *rows = cells_of(report)
    assert head == ["group", "side", "files", "Peak", "LSD dB", "Same"]
    assert [row[:3] for row in rows] == [
        [group, side, count]
        for group, count in (("hiss", "2"), ("room", "2"), ("all", "4"))
        for side in ("input", "restored", "clean")
    ]
    assert rows[-1][4:] == ["-", "-"]  # clean is the reference
    assert float(rows[-3][4]) > float(rows[-2][4]) > 0
    peaks = [abs(speech(index)).max() for index in range(4)]
    assert float(rows[-1][3]) == pytest.approx(numpy.mean(peaks), abs=0.006)
    found = rows_of(report)
    assert list(found) == [
        "hiss/a.wav",
        "hiss/b.wav",
        "room/a.wav",
        "room/b.wav",
    ]
    assert float(found["room/a.wav"]["clean_peak"]) == pytest.approx(
        peaks[2], abs=1e-4
    )
    distances = [float(row["restored_lsd"]) for row in found.values()]
    assert float(rows[-2][4]) == pytest.approx(numpy.mean(distances), abs=0.006)


def test_delay_does_not_change_scores(folders, toy_metrics):
    path = folders / "restored/hiss/a.wav"
    wav, _ = soundfile.read(path)
    before = rows_of(evaluate.evaluate(**sides(folders)))["hiss/a.wav"]
    write(path, numpy.pad(wav, (320, 0)))
    after = rows_of(evaluate.evaluate(**sides(folders)))["hiss/a.wav"]
    assert float(after["restored_delay_ms"]) == 20.0
    assert float(after["input_delay_ms"]) == 0.0
    assert float(after["restored_lsd"]) == pytest.approx(
        float(before["restored_lsd"]), abs=0.01
    )


def test_unusable_files_are_noted_and_not_averaged(folders, toy_metrics):
    restored = folders / "restored"
    write(restored / "hiss/silent.wav", numpy.zeros(RATE))
    write(folders / "clean/hiss/silent.wav", speech())
    soundfile.write(
        restored / "hiss/nan.wav",
        numpy.full(RATE, numpy.nan),
        RATE,
        subtype="FLOAT",
    )
    (restored / "hiss/text.wav").write_text("not audio")
    write(restored / "hiss/empty.wav", numpy.zeros(0))
    write(restored / "hiss/extra.wav", speech())
    write(folders / "clean/gone.wav", speech())
    write(restored / "room/a.wav", speech(2, seconds=0.5))
    report = evaluate.evaluate(**sides(folders))
    found = rows_of(report)
    assert "silent" in found["hiss/silent.wav"]["notes"]
    assert "NaN" in found["hiss/nan.wav"]["notes"]
    assert "cannot be read" in found["hiss/text.wav"]["notes"]
    assert "empty" in found["hiss/empty.wav"]["notes"]
    assert "no clean" in found["hiss/extra.wav"]["notes"]
    assert "restored is 0.50 s shorter" in found["room/a.wav"]["notes"]
    assert found["hiss/extra.wav"]["restored_peak"]
    assert found["hiss/extra.wav"]["restored_lsd"] == ""
    status = {file: row["status"] for file, row in found.items()}
    assert status.pop("gone.wav") == "missing"
    assert status.pop("hiss/empty.wav") == "silent"  # no other side exists
    assert {f for f, s in status.items() if s == "failed"} == {
        "hiss/silent.wav",
        "hiss/nan.wav",
        "hiss/text.wav",
    }
    assert report.failed == 4
    for column in report.scorer.columns:
        complete = numpy.isfinite(report.scores.complete(column)["restored"])
        assert complete.sum() == 4
    summary = report.summary()
    assert "1 without restored: gone.wav" in summary
    assert "6 without input: " in summary
    assert "4 without clean: " in summary
    assert "extra.wav, " in summary
    assert "LSD dB: means over the 4 of 10 files" in summary


def test_input_is_the_reference_without_a_clean_side(folders, toy_metrics):
    report = evaluate.evaluate(
        folders / "restored", folders / "report", source=folders / "input"
    )
    assert report.scorer.sides == ["input", "restored"]
    assert "LSD dB: left out: needs --reference" in report.summary()
    assert "Same: ; reference: input" in report.summary()
    head, _, *rows = cells_of(report)
    assert head == ["group", "side", "files", "Peak", "Same"]
    assert [row[-1] for row in rows] == ["-", "1.00"] * 3


def test_only_the_restored_side_is_required(folders, toy_metrics):
    report = evaluate.evaluate(folders / "restored", folders / "report")
    assert "Same: left out: needs --reference or --input" in report.summary()
    assert cells_of(report)[-1][:3] == ["all", "restored", "4"]


def test_a_file_outside_all_subfolders_disables_conditions(
    folders, toy_metrics
):
    write(folders / "restored/c.wav", speech())
    report = evaluate.evaluate(folders / "restored", folders / "report")
    assert list(report.scores.groups()) == ["all"]


def test_formats_that_only_pyav_reads_are_evaluated(tmp_path, toy_metrics):
    wav = speech(seconds=1.5)
    write_m4a(tmp_path / "input/a.m4a", wav)
    write(tmp_path / "restored/a.wav", wav)
    write_m4a(tmp_path / "restored/b.m4a", wav)
    write(tmp_path / "input/b.wav", wav)
    report = evaluate.evaluate(
        tmp_path / "restored", tmp_path / "report", source=tmp_path / "input"
    )
    found = rows_of(report)
    assert [row["status"] for row in found.values()] == ["done", "done"]
    peak = abs(wav).max()
    for row, side in ((found["a.wav"], "input"), (found["b.m4a"], "restored")):
        assert float(row[f"{side}_peak"]) == pytest.approx(peak, rel=0.2)
    shown = excerpts({"input": tmp_path / "input/a.m4a"})
    assert "audio" in shown["sides"]["input"]


def test_a_segment_is_read_from_a_format_that_only_pyav_reads(tmp_path):
    wav = 0.1 * numpy.sin(numpy.arange(3 * RATE))
    wav[: 2 * RATE] = 0
    write_m4a(tmp_path / "a.m4a", wav)
    found = read_audio(tmp_path / "a.m4a", RATE, start=1.5, seconds=1.0)
    assert len(found) == RATE
    assert abs(found[: RATE // 4]).max() < 0.02
    assert abs(found[-RATE // 4 :]).max() > 0.08
    assert len(read_audio(tmp_path / "a.m4a", RATE, start=9.0)) == 0
