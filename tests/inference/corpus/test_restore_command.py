"""Tests of ``miipher2 restore``.

Authors
 * The miipher2 authors 2026
"""

import csv
import io
import os
import re
import subprocess
import sys

import numpy
import pytest
import soundfile
from tiny_restorer import voice

from miipher2.cli import main
from miipher2.dataio.digest import file_digest
from miipher2.dataio.tables import write_table
from miipher2.inference.corpus.manifest import read_rows
from miipher2.inference.model_folder import DEFAULT, PRETRAINED, model_identity
from miipher2.inference.restorer import Restorer


@pytest.fixture
def restore(tiny_model, tmp_path):
    """Function that runs the command on the CPU.

    It returns the exit code and the rows of the manifest.
    """

    def run(*arguments, output="out", model=tiny_model):
        line = [*arguments, tmp_path / output, "--device", "cpu"]
        code = main(["restore", *map(str, line), "--model", str(model)])
        return code, read_rows(tmp_path / output / "manifest.csv")

    return run


def outputs(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_folder_of_mixed_recordings_is_restored(
    recordings, restore, tmp_path, capsys
):
    folder = recordings({"a.wav": 0.3, "s/a.flac": 9.0, "s/a.ogg": 1.1})
    soundfile.write(
        folder / "stereo.wav", numpy.stack([voice(2)] * 2, 1), 16000
    )
    soundfile.write(folder / "silent.wav", numpy.zeros(16000), 8000)
    (folder / "bad.wav").write_text("not audio")
    (folder / "notes.txt").write_text("not listed")
    code, rows = restore(folder)
    assert code == 1
    assert outputs(tmp_path / "out") == {
        *("a.wav", "s/a.flac.wav", "s/a.ogg.wav", "stereo.wav", "silent.wav"),
        "manifest.csv",
    }
    assert [(row.ID, row.status, row.channels) for row in rows] == [
        ("a.wav", "done", 1),
        ("bad.wav", "failed", 0),
        ("s/a.flac", "done", 1),
        ("s/a.ogg", "done", 1),
        ("silent.wav", "silent", 1),
        ("stereo.wav", "done", 2),
    ]
    for row in rows:
        assert row.input == str(folder / row.ID) and row.seconds_spent >= 0
        if row.status == "failed":
            assert "cannot be read as audio" in row.reason
            continue
        info = soundfile.info(tmp_path / "out" / row.output)
        expected = soundfile.info(row.input)
        assert row.seconds == pytest.approx(expected.duration)
        assert row.input_rate == expected.samplerate
        assert row.output_rate == info.samplerate == 24000
        assert info.frames == round(row.seconds * 24000)
        assert info.channels == row.channels
        assert len(row.model) == 12 and "24000 Hz" in row.settings
    captured = capsys.readouterr()
    assert captured.out.startswith("6 recordings, on cpu in ")
    assert (
        f"4 restored, 1 failed, 1 silent, in {tmp_path / 'out'}; "
        in captured.out
    )
    assert captured.err.startswith(
        f"failed: {folder / 'bad.wav'}: cannot be read"
    )


def test_resuming_restores_only_recordings_that_are_not_done(
    recordings, restore, tmp_path, capsys
):
    folder = recordings({"a.wav": 1.0, "b.wav": 1.0, "c.wav": 1.0})
    (folder / "bad.wav").write_text("not audio")
    _, before = restore(folder)
    inodes = {p: p.stat().st_ino for p in (tmp_path / "out").glob("*.wav")}
    (tmp_path / "out/b.wav").write_bytes(b"half")
    soundfile.write(folder / "bad.wav", voice(1), 16000)
    capsys.readouterr()
    code, rows = restore(folder)
    assert code == 0 and [row.status for row in rows] == ["done"] * 4
    assert "4 recordings (2 already done)" in capsys.readouterr().out
    for path, number in inodes.items():
        assert (path.stat().st_ino == number) == (path.name != "b.wav")
    assert rows[0] == before[0] and rows[2] != before[2]
    # With other settings, all recordings are restored again.
    code, rows = restore(folder, "--sample-rate", 16000)
    assert {row.output_rate for row in rows} == {16000}


def test_changed_inputs_are_restored_again(recordings, restore, tmp_path):
    folder = recordings({"a.wav": 1.0, "b.wav": 1.0, "c.wav": 1.0})
    restore(folder)
    recordings({"a.wav": 2.0})
    soundfile.write(folder / "b.wav", voice(1.0, seed=5), 16000)  # same size
    code, rows = restore(folder)
    assert code == 0
    assert [row.seconds for row in rows] == [2.0, 1.0, 1.0]
    assert soundfile.info(tmp_path / "out/a.wav").duration == 2.0
    for row in rows:
        status = (folder / row.ID).stat()
        assert row.input_bytes == status.st_size
        assert row.input_mtime_ns == status.st_mtime_ns
        assert row.input_sha256 == ""
    assert rows[1].finished > rows[2].finished


def test_outputs_of_failed_inputs_are_kept_unless_the_input_changed(
    recordings, restore, tmp_path, monkeypatch
):
    folder = recordings({f"{name}.wav": 0.5 for name in "abcd"})
    listed = tmp_path / "in.csv"
    write_table(listed, ["wav"], [{"wav": f"in/{n}.wav"} for n in "abcd"])
    restore(listed)
    (folder / "a.wav").write_text("not audio")  # changed
    (folder / "b.wav").rename(tmp_path / "b.wav")  # as if not mounted
    (folder / "c.wav").unlink()
    os.mkfifo(folder / "c.wav")
    for _ in range(2):
        code, rows = restore(listed)
        assert code == 1
        assert [row.status for row in rows] == [
            *("failed", "failed", "skipped", "done")
        ]
        assert outputs(tmp_path / "out/in") == {"b.wav", "d.wav"}
        assert rows[1].reason.endswith("output is from an earlier run")
    # The missing input is back and is restored with other settings.
    (tmp_path / "b.wav").rename(folder / "b.wav")
    code, rows = restore(listed, "--sample-rate", 16000)
    assert [row.status for row in rows][1:] == ["done", "skipped", "done"]


def test_reason_mentions_the_removed_output(
    recordings, restore, tmp_path, capsys
):
    folder = recordings({"a.wav": 0.5, "b.wav": 0.5})
    restore(folder)
    (folder / "a.wav").write_text("not audio")
    _, rows = restore(folder)
    assert outputs(tmp_path / "out") == {"b.wav", "manifest.csv"}
    assert "cannot be read as audio" in rows[0].reason
    assert rows[0].reason.endswith("output of an earlier run was removed")


def test_changed_content_is_detected(recordings, restore, tmp_path, capsys):
    folder = recordings({"a.wav": 1.0, "b.wav": 1.0})
    restore(folder)
    before = restore(folder, "--check-content")[1]  # adds the hashes
    assert "(2 already done)" in capsys.readouterr().out
    for name in ("a.wav", "b.wav"):
        times = (folder / name).stat()
        if name == "b.wav":
            soundfile.write(folder / name, voice(1.0, seed=5), 16000)
            os.utime(folder / name, ns=(0, times.st_mtime_ns))
        else:
            (folder / name).touch()
    _, rows = restore(folder, "--check-content")
    assert rows[0].finished == before[0].finished
    assert rows[0].input_mtime_ns > before[0].input_mtime_ns
    assert rows[1].finished > before[1].finished
    assert rows[1].input_sha256 == file_digest(folder / "b.wav")


def test_manifest_of_an_earlier_version_is_accepted(
    recordings, restore, tmp_path
):
    """Recordings in a manifest of an earlier version count as unchanged."""
    folder, path = recordings({"a.wav": 1.0}), tmp_path / "out/manifest.csv"
    restore(folder)
    old = read_rows(path)[0]
    with open(path, newline="") as file:
        (row,) = csv.DictReader(file)
    for name in ("input_bytes", "input_mtime_ns", "input_sha256"):
        del row[name]
    write_table(path, list(row), [row])
    assert restore(folder)[1] == [old]
    recordings({"a.wav": 2.0})
    assert restore(folder)[1][0].seconds == 2.0


def test_new_run_refuses_to_replace_existing_outputs(
    recordings, restore, tmp_path, capsys
):
    folder, output = recordings({"a.wav": 0.5}), tmp_path / "out"
    output.mkdir()
    (output / "a.wav").write_bytes(b"mine")
    for inputs in ([folder], [folder / "a.wav"]):
        with pytest.raises(SystemExit) as exit_:
            restore(*inputs)
        assert exit_.value.code == 2
        error = capsys.readouterr().err
        assert f"error: {output / 'a.wav'}: exists; " in error
        assert outputs(output) == {"a.wav"}
    _, (row,) = restore(folder, "--overwrite")
    assert row.status == "done"
    _, (again,) = restore(folder, "--overwrite")
    assert again.finished > row.finished


def test_output_file_is_replaced_only_with_overwrite(
    recordings, restore, tmp_path, capsys
):
    folder = recordings({"a.wav": 0.5})
    (tmp_path / "b.wav").write_bytes(b"mine")
    with pytest.raises(SystemExit):
        restore(folder / "a.wav", output="b.wav")
    assert "b.wav: exists; choose a different output" in capsys.readouterr().err
    assert (tmp_path / "b.wav").read_bytes() == b"mine"
    restore(folder / "a.wav", "--overwrite", output="b.wav")
    assert soundfile.info(tmp_path / "b.wav").duration == 0.5


@pytest.mark.parametrize("name", ["foo.wav", "foo.MP4", "foo.tar", "exists"])
def test_output_of_a_folder_cannot_be_a_file(
    recordings, restore, tmp_path, capsys, name
):
    folder = recordings({"a.wav": 0.5})
    (tmp_path / "exists").write_text("a file")
    with pytest.raises(SystemExit):
        restore(folder, output=name)
    assert f"{name}: expected a folder" in capsys.readouterr().err


def test_fifos_and_unsupported_formats_are_skipped(
    recordings, restore, tmp_path
):
    folder = recordings({"a.wav": 0.5})
    for name in ("a.flac", "b.tar", "c.wav"):
        os.mkfifo(folder / name)
    (folder / "d.aax").write_bytes(b"encrypted")
    (folder / "list.csv").write_text("wav\na.wav\nc.wav\n")
    for source, count in ((folder, 5), (folder / "list.csv", 2)):
        code, rows = restore(source, "--check-content", output=f"out{count}")
        rows = read_rows(tmp_path / f"out{count}/manifest.csv")
        assert code == 0 and len(rows) == count
        for row in rows:
            if row.ID == "a.wav":
                assert (row.status, row.output) == ("done", "a.wav")
            else:
                assert (row.status, row.output) == ("skipped", "")
                reason = "expected a regular file, found a FIFO"
                if row.ID == "d.aax":
                    reason = (
                        ".aax is not supported; convert it to .wav or .flac"
                    )
                assert row.reason == reason


def test_log_describes_the_inputs_the_bandwidth_and_the_speed(
    recordings, restore, capsys
):
    folder = recordings({"a.wav": 1.0}, rate=48000)
    restore(folder)
    start, band, end = capsys.readouterr().out.splitlines()
    assert start.startswith("1 recording, on cpu in ")
    assert band == (
        "inputs at 48 kHz are restored at 24 kHz, without content above 12 kHz"
    )
    assert re.match(
        r"1 restored, 0 failed, in .*; 1\.0 s at \d+\.\d x real time", end
    )
    restore(folder)
    start, end = capsys.readouterr().out.splitlines()
    assert start.startswith("1 recording (1 already done), on cpu in ")
    assert end == f"nothing to restore: {folder.parent / 'out'} is complete"
    restore(folder / "a.wav", "--sample-rate", 48000, output="b.wav")
    start, band, end = capsys.readouterr().out.splitlines()
    assert band == (
        "inputs at 48 kHz are restored at 48 kHz, without content above 12 kHz"
    )
    assert re.match(r".*b\.wav: done; 1\.0 s at \d+\.\d x real time", end)


def test_notes_are_counted(recordings, restore, capsys):
    folder = recordings({"a.wav": 1.0, "b.wav": 1.0})
    (folder / "a.wav").write_bytes((folder / "b.wav").read_bytes()[:20000])
    _, rows = restore(folder)
    assert rows[0].status == "done" and "ends after" in rows[0].reason
    assert capsys.readouterr().out.endswith("; 1 note in the manifest\n")


def test_options_set_the_format_the_rate_and_the_channels(
    recordings, restore, tmp_path
):
    folder = recordings({"a.wav": 2.0})
    stereo = numpy.stack([voice(2), voice(2, seed=1)], axis=1)
    soundfile.write(folder / "b.wav", stereo, 16000)
    code, rows = restore(
        folder,
        *("--format", "flac", "--sample-rate", 48000, "--channels", "mono"),
        *("--loudness", -30, "--batch-seconds", 8, "--precision", "fp32"),
    )
    assert code == 0
    for name in ("a.flac", "b.flac"):
        info = soundfile.info(tmp_path / "out" / name)
        assert (info.frames, info.samplerate, info.channels) == (
            96000,
            48000,
            1,
        )


def test_sample_format_follows_the_input_or_the_option(
    recordings, restore, tmp_path, capsys
):
    folder = recordings({"a.wav": 0.5})
    soundfile.write(folder / "b.wav", voice(0.5), 16000, subtype="PCM_24")
    soundfile.write(folder / "c.wav", voice(0.5), 16000, subtype="FLOAT")

    def found():
        paths = sorted((tmp_path / "out").glob("*.wav"))
        return [soundfile.info(path).subtype for path in paths]

    _, rows = restore(folder)
    assert found() == ["PCM_16", "PCM_24", "FLOAT"]
    assert rows[2].settings == "24000 Hz, channels each, loudness input"
    for _ in range(2):
        _, rows = restore(folder, "--subtype", "PCM_24")
        assert found() == ["PCM_24"] * 3
        assert {row.settings for row in rows} == {
            "24000 Hz, channels each, loudness input, PCM_24"
        }
    assert "(3 already done)" in capsys.readouterr().out
    restore(folder / "c.wav", "--subtype", "PCM_16", output="d.wav")
    assert soundfile.info(tmp_path / "d.wav").subtype == "PCM_16"


def test_parquet_option_writes_a_parquet_manifest(
    recordings, restore, tmp_path
):
    pytest.importorskip("pyarrow")
    restore(recordings({"a.wav": 0.5}), "--parquet")
    assert outputs(tmp_path / "out") == {"a.wav", "manifest.parquet"}
    (row,) = read_rows(tmp_path / "out/manifest.parquet")
    assert row.status == "done"


@pytest.mark.parametrize("name", ["new/b.flac", "b.wav", "b.ogg"])
def test_single_file_is_restored(recordings, restore, tmp_path, name):
    folder = recordings({"a.wav": 0.5})
    code, rows = restore(folder / "a.wav", output=name)
    assert code == 0 and rows == []
    assert soundfile.info(tmp_path / name).duration == 0.5
    assert outputs((tmp_path / name).parent) >= {name.rpartition("/")[2]}


def test_single_file_shows_progress(recordings, restore, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    folder = recordings({"a.wav": 9.0})  # three windows
    restore(folder / "a.wav", output="b.wav")
    shown = terminal.getvalue()
    assert "100%|" in shown and "9.0 s at" in shown


def test_failed_single_file_has_no_output(
    recordings, restore, tmp_path, capsys
):
    folder = recordings({"a.wav": 0.5})
    (folder / "bad.wav").write_text("not audio")
    code, _ = restore(folder / "bad.wav", output="b.wav")
    assert code == 1 and not (tmp_path / "b.wav").exists()
    assert capsys.readouterr().err.count("\n") == 1


def test_batch_seconds_sets_the_batch_size_for_a_single_file(
    recordings, restore, tmp_path, monkeypatch
):
    restore_windows, batch_sizes = Restorer.restore_windows, set()

    def watched(self, wavs, *arguments):
        batch_sizes.add(len(wavs))
        return restore_windows(self, wavs, *arguments)

    monkeypatch.setattr(Restorer, "restore_windows", watched)
    folder = recordings({"a.wav": 20.0})
    restore(folder / "a.wav", "--batch-seconds", 12, output="b.wav")
    assert batch_sizes == {3}  # windows of 4 s


def test_several_files_are_restored_to_a_folder(recordings, restore, tmp_path):
    folder = recordings({"a.wav": 0.5, "b.flac": 0.5})
    restore(folder / "a.wav", folder / "b.flac")
    assert outputs(tmp_path / "out") == {"a.wav", "b.wav", "manifest.csv"}


def test_quiet_hides_information_except_in_the_log_file(
    recordings, restore, tmp_path, capsys
):
    folder = recordings({"a.wav": 0.5})
    (folder / "bad\nname.wav").write_text("not audio")
    log = tmp_path / "run.log"
    restore(folder, "--quiet", "--log-file", log)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and "bad\\nname.wav" in captured.err
    lines = log.read_text("utf-8")
    assert "2 recordings, on cpu" in lines and "failed: " in lines


@pytest.mark.parametrize(
    "wrong",
    [
        ["--shard-index", "1"],
        ["--num-shards", "2", "--shard-index", "-1"],
        ["--loudness", "loud"],
        ["--loudness", "-71"],
        ["--subtype", "mp3"],
        ["--subtype", "FLOAT", "--format", "flac"],
        ["--subtype", "PCM_24", "--format", "ogg"],
        ["--sample-rate", "100"],
        ["--model", "nowhere"],
        ["--workers", "0"],
        ["--num-shards", "0"],
        ["--batch-seconds", "nan"],
        ["--batch-seconds", "0"],
        ["--device", "cuda:99"],
        ["--device", "gpu"],
    ],
)
def test_invalid_arguments_print_an_error_and_exit_with_code_2(
    recordings, tmp_path, tiny_model, wrong, capsys
):
    folder = recordings({"a.wav": 0.5})
    arguments = ["restore", str(folder), str(tmp_path / "out")]
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--model", str(tiny_model), *wrong])
    assert exit_.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "error: " in error


def test_bundled_model_is_the_default(recordings, tmp_path):
    folder = recordings({"a.wav": 0.5})
    assert main(["restore", str(folder), str(tmp_path), "--quiet"]) == 0
    (row,) = read_rows(tmp_path / "manifest.csv")
    assert row.model == model_identity(PRETRAINED / DEFAULT)


def names(count):
    return {f"{number:02d}.wav": 0.2 for number in range(count)}


def test_run_without_shards_completes_a_sharded_run(
    recordings, restore, tmp_path, capsys
):
    folder = recordings(names(12))
    seen = set()
    for index in (0, 2):
        code, rows = restore(folder, "--num-shards", 3, "--shard-index", index)
        files = outputs(tmp_path / "out")
        assert rows == [] and len(files) > len(seen)
        seen = files
    capsys.readouterr()
    restore(folder, "--num-shards", 3, "--shard-index", 2)
    assert "nothing to restore in this shard" in capsys.readouterr().out
    inodes = {p: p.stat().st_ino for p in (tmp_path / "out").glob("*.wav")}
    assert 0 < len(inodes) < 12
    code, rows = restore(folder)  # the second shard was never run
    assert code == 0 and [row.status for row in rows] == ["done"] * 12
    assert all(path.stat().st_ino == number for path, number in inodes.items())
    assert outputs(tmp_path / "out") == {*names(12), "manifest.csv"}


@pytest.mark.slow
def test_torchrun_gives_each_process_a_shard(recordings, tiny_model, tmp_path):
    folder = recordings(names(9))
    (folder / "bad.wav").write_text("not audio")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--standalone", "--nproc_per_node=3", "-m", "miipher2"),
            *("restore", folder, tmp_path / "out", "--model", tiny_model),
            *("--device", "cpu"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1  # one recording failed; no process was killed
    assert done.stdout.count("recordings, on cpu") == 3
    rows = read_rows(tmp_path / "out" / "manifest.csv")
    assert [row.status for row in rows] == ["done"] * 9 + ["failed"]
    assert outputs(tmp_path / "out") == {*names(9), "manifest.csv"}
