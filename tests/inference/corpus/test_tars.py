"""Tests of restoring WebDataset tars.

Authors
 * The miipher2 authors 2026
"""

import io
import os
import signal
import sys
import tarfile
import time

import numpy
import pytest
import soundfile
from tiny_restorer import voice

webdataset = pytest.importorskip("webdataset")

from miipher2.cli import main  # noqa: E402
from miipher2.inference.corpus import local  # noqa: E402
from miipher2.inference.corpus.inputs import list_items  # noqa: E402
from miipher2.inference.corpus.manifest import read_rows  # noqa: E402
from miipher2.inference.corpus.pipeline import Pipeline  # noqa: E402
from miipher2.inference.corpus.tars import TarJobs  # noqa: E402
from miipher2.inference.corpus.workers import WorkerPool  # noqa: E402
from miipher2.inference.job import Settings  # noqa: E402
from miipher2.inference.recording import Stopped  # noqa: E402
from miipher2.inference.restorer import Restorer  # noqa: E402


def audio(seconds=0.3, seed=0, suffix="flac", subtype=None):
    """Return the content of an audio file."""
    file = io.BytesIO()
    wav = voice(seconds, seed=seed)
    soundfile.write(file, wav, 16000, subtype=subtype, format=suffix)
    return file.getvalue()


def write_tar(path, members, mode="w"):
    """Write a tar with members ``{name: content}``; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def read_tar(path):
    """Return the members of a tar in order, as ``{name: content}``."""
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


def shard(first, count=3):
    """Return the members of a tar: recordings with JSON and text files."""
    members = {}
    for number in range(first, first + count):
        # The samples are not sorted by name.
        key = f"s/{number * 7 % 10}"
        members[f"{key}.flac"] = audio(0.2 + 0.1 * number, number)
        members[f"{key}.json"] = f'{{"n": {number}}}'.encode()
        members[f"{key}.txt"] = f"naïve text {number}\n".encode()
    return members


@pytest.fixture
def restore(tiny_model, tmp_path):
    """Return a function that runs the command on the CPU.

    The function returns the exit code and the rows of the manifest by ID.
    """

    def run(*arguments, output="out"):
        line = [*arguments, tmp_path / output, "--device", "cpu"]
        code = main(["restore", *map(str, line), "--model", str(tiny_model)])
        rows = read_rows(tmp_path / output / "manifest.csv")
        return code, {row.ID: row for row in rows}

    return run


def all_files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", [Pipeline, WorkerPool])
def test_tars_are_restored_to_a_relative_folder(
    tiny_model, tmp_path, monkeypatch, kind
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "pipeline_for", lambda device: kind)
    write_tar(tmp_path / "in" / "a.tar", shard(0))
    options = ["--model", str(tiny_model), "--device", "cpu", "--workers", "1"]
    assert main(["restore", "in/a.tar", "out", *options]) == 0
    assert all_files(tmp_path / "out") == {"a.tar", "manifest.csv"}
    assert len(read_tar(tmp_path / "out" / "a.tar")) == 9
    rows = read_rows(tmp_path / "out" / "manifest.csv")
    assert [row.output for row in rows] == [
        "a.tar",
        *(f"a.tar/s/{number}.wav" for number in (0, 4, 7)),
    ]


def test_tars_and_recordings_in_one_folder_are_restored(
    restore, tmp_path, capsys
):
    folder, plain = tmp_path / "in", tmp_path / "plain"
    shards = {
        "shard-000000.tar": shard(0),
        "b/shard-000001.tar.gz": shard(3),
    }
    for name, members in shards.items():
        mode = "w:gz" if name.endswith("gz") else "w"
        write_tar(folder / name, members, mode)
        for member, content in members.items():
            path = plain / name / member
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    (folder / "single.flac").write_bytes(audio())
    code, rows = restore(folder, "--format", "ogg")
    assert code == 0
    captured = capsys.readouterr().out
    assert (
        "1 recording and 2 tars, on cpu" in captured
        and "7 restored" in captured
    )
    assert all_files(tmp_path / "out") == {
        *shards,
        *("single.ogg", "manifest.csv"),
    }
    _, expected = restore(plain, "--format", "ogg", output="expected")
    assert rows.keys() - expected.keys() == {*shards, "single.flac"}
    for name, members in shards.items():
        restored = read_tar(tmp_path / "out" / name)
        # webdataset sorts the members of a sample by name.
        assert list(restored) == [
            f"{member[:-4]}{suffix}"
            for member in members
            if member.endswith("flac")
            for suffix in ("json", "ogg", "txt")
        ]
        for member, content in restored.items():
            if not member.endswith(".ogg"):
                assert content == members[member]
                continue
            wav, rate = soundfile.read(io.BytesIO(content))
            path = tmp_path / "expected" / name / member
            assert rate == 24000
            numpy.testing.assert_array_equal(wav, soundfile.read(path)[0])
            ID = f"{name}/{member[:-4]}.flac"
            row, other = rows[ID], expected[ID]
            assert row.input == str(folder / ID)
            assert (row.output, row.bytes) == (f"{name}/{member}", len(content))
            assert (row.status, row.seconds) == (other.status, other.seconds)
        row = rows[name]
        assert (row.output, row.status, row.seconds) == (name, "done", 0)
        assert row.bytes == (tmp_path / "out" / name).stat().st_size
    # webdataset can read the output.
    urls = str(tmp_path / "out" / "shard-000000.tar")
    (first, *_) = webdataset.WebDataset(urls, shardshuffle=False).decode()
    assert first["__key__"] == "s/0" and first["json"] == {"n": 0}


def test_tars_share_batches(restore, tmp_path, monkeypatch):
    batches = []
    restore_windows = Restorer.restore_windows

    def watched(restorer, wavs, lengths, windows, states):
        batches.append({window.owner.item.ID[:2] for window in windows})
        return restore_windows(restorer, wavs, lengths, windows, states)

    monkeypatch.setattr(Restorer, "restore_windows", watched)
    for name in ("a", "b"):
        write_tar(tmp_path / "in" / f"{name}.tar", {"x.flac": audio()})
    code, rows = restore(tmp_path / "in", "--batch-seconds", 60)
    assert code == 0 and len(rows) == 4
    assert batches == [{"a.", "b."}]
    for name in ("a", "b"):
        assert list(read_tar(tmp_path / "out" / f"{name}.tar")) == ["x.wav"]
    assert not list((tmp_path / "out").glob(".*"))


def test_resuming_restores_only_incomplete_tars(restore, tmp_path, capsys):
    tars = [
        write_tar(tmp_path / f"in/{number}.tar", {**shard(number, 1)})
        for number in range(3)
    ]
    restore(*tars)
    inodes = {p.name: p.stat().st_ino for p in (tmp_path / "out").glob("*.tar")}
    (tmp_path / "out" / "1.tar").write_bytes(b"half")
    capsys.readouterr()
    code, rows = restore(*tars)
    assert code == 0 and len(rows) == 6
    assert "0 recordings and 3 tars (2 already done)" in capsys.readouterr().out
    for name, number in inodes.items():
        path = tmp_path / "out" / name
        assert (path.stat().st_ino == number) == (name != "1.tar")
    # With another format, tars are restored again under the same names.
    restore("--format", "flac", *tars)
    assert "s/0.flac" in read_tar(tmp_path / "out" / "0.tar")


def test_sample_format_follows_the_input_or_the_option(restore, tmp_path):
    wide = audio(subtype="PCM_24")
    write_tar(tmp_path / "in/a.tar", {"x.flac": audio(), "y.flac": wide})

    def found():
        return [
            soundfile.info(io.BytesIO(content)).subtype
            for content in read_tar(tmp_path / "out/a.tar").values()
        ]

    restore(tmp_path / "in")
    assert found() == ["PCM_16", "PCM_24"]
    _, rows = restore(tmp_path / "in", "--subtype", "FLOAT")
    assert found() == ["FLOAT", "FLOAT"]
    assert rows["a.tar"].settings.endswith("input, FLOAT, wav")


def test_changed_tar_is_restored_again(restore, tmp_path):
    tar = tmp_path / "in/a.tar"
    other = write_tar(tmp_path / "in/a.tar-b/c.tar", shard(0, 1))
    write_tar(tar, {"x.flac": audio(), "y.flac": audio()})
    _, before = restore(tmp_path / "in")
    assert before.keys() >= {"a.tar/x.flac", "a.tar/y.flac"}
    write_tar(tar, {"x.flac": audio(1.0)})
    _, rows = restore(tmp_path / "in")
    assert list(read_tar(tmp_path / "out/a.tar")) == ["x.wav"]
    assert rows["a.tar/x.flac"].seconds == 1.0
    for name in ("a.tar", "a.tar/x.flac"):
        assert rows[name].input_bytes == tar.stat().st_size
        assert rows[name].input_mtime_ns == tar.stat().st_mtime_ns
    # Only the recording that was removed from the tar has no row.
    assert before.keys() - rows.keys() == {"a.tar/y.flac"}
    assert rows["a.tar-b/c.tar"] == before["a.tar-b/c.tar"]
    assert other.exists()


@pytest.mark.parametrize("broken", ["member", "tar"])
def test_output_of_a_changed_tar_that_fails_is_removed(
    restore, tmp_path, broken
):
    tar = write_tar(tmp_path / "in/a.tar", {"x.flac": audio()})
    restore(tmp_path / "in")
    write_tar(tar, {"x.flac": b"not audio", "y.txt": b"text"})
    if broken == "tar":
        tar.write_bytes(tar.read_bytes()[:700])
    _, rows = restore(tmp_path / "in")
    assert all_files(tmp_path / "out") == {"manifest.csv"}
    assert rows["a.tar"].status in ("failed", "skipped")
    assert rows["a.tar"].reason.endswith("output of an earlier run was removed")


def test_resuming_after_a_kill_restores_only_the_unfinished_tar(
    restore, tmp_path, tiny_model
):
    tars = [
        write_tar(tmp_path / "in/a.tar", shard(0, 1)),
        write_tar(
            tmp_path / "in/b.tar",
            {f"{n}.flac": audio(1.0, n) for n in range(30)},
        ),
    ]
    output = tmp_path / "out"
    process = os.fork()
    if not process:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        try:
            restore(*tars)
        finally:
            os._exit(0)
    journal = output / "manifest.0-of-1.jsonl"
    for _ in range(10_000):
        logged = journal.exists() and '"a.tar"' in journal.read_text()
        if logged and list(output.glob(".*/restored/*")):
            break
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert not (output / "b.tar").exists()
    assert '"b.tar' not in journal.read_text()
    assert list(output.glob(".*/*.flac"))
    inode = (output / "a.tar").stat().st_ino
    code, rows = restore(*tars)
    assert code == 0 and len(rows) == 1 + 1 + 30 + 1
    assert (output / "a.tar").stat().st_ino == inode
    assert len(read_tar(output / "b.tar")) == 30
    assert all_files(output) == {"a.tar", "b.tar", "manifest.csv"}


@pytest.mark.parametrize("checks", [1, 7])
def test_stop_ends_the_reading_of_a_tar(restorer, tmp_path, checks):
    tar = write_tar(tmp_path / "a.tar", shard(0, 2))
    items = list_items([tar], tmp_path / "out", ".wav")
    settings = Settings(16000)
    tars = TarJobs(tmp_path / "out", ".wav", settings, restorer, None)

    class Stop:
        count = 0

        def is_set(self):
            self.count += 1
            return self.count > checks

    with pytest.raises(Stopped):
        list(tars.unpack(items, Stop()))
    tars.clean()
    assert not list((tmp_path / "out").rglob("*"))


def test_failed_samples_are_left_out(restore, tmp_path, capsys):
    members = {
        "a.flac": audio(),
        "a.txt": b"a",
        "bad.flac": b"not audio",
        "bad.txt": b"bad",
        "pair.a.wav": b"",
        "pair.b.flac": audio(),
        "text.raw": b"audio without a header",
        "text.txt": b"no recording at all",
        "z.a.WAV": audio(suffix="wav"),
        "z.b.flac": audio(),
        "z.c.d.mp3": audio(suffix="mp3"),
        "z.c.d.ogg": audio(suffix="ogg"),
    }
    tar = write_tar(tmp_path / "in.tar", members)
    code, rows = restore(tar)
    assert code == 1
    assert list(read_tar(tmp_path / "out/in.tar")) == [
        *("a.txt", "a.wav", "text.raw", "text.txt"),
        *("z.a.wav", "z.b.wav", "z.c.d.mp3.wav", "z.c.d.ogg.wav"),
    ]
    assert rows["in.tar"].status == "done"
    assert rows["in.tar"].reason == "samples left out: 2"
    others = {ID: row for ID, row in rows.items() if row.status != "done"}
    assert {ID: (row.status, row.reason) for ID, row in others.items()} == {
        "in.tar/bad.flac": (
            "failed",
            "cannot be read as audio: Format not recognised",
        ),
        "in.tar/pair.a.wav": ("failed", "an empty file (0 bytes)"),
        "in.tar/pair.b.flac": (
            "skipped",
            "left out: pair.a.wav in the same sample was not restored",
        ),
        "in.tar/text.raw": (
            "skipped",
            "its format is not supported",
        ),
    }
    captured = capsys.readouterr()
    assert "5 restored, 2 failed, 2 skipped" in captured.out
    assert f"failed: {tar}/bad.flac: cannot be read" in captured.err


def test_broken_tars_do_not_affect_other_tars(restore, tmp_path):
    folder = tmp_path / "in"
    good = write_tar(folder / "good.tar", shard(0)).read_bytes()
    members = list(tarfile.open(folder / "good.tar"))
    flipped = bytearray(good)
    flipped[members[3].offset + 5] ^= 255
    broken = {
        "cut": good[: members[4].offset_data + 1],
        "cut_between": good[: members[4].offset],
        "cut_header": good[: members[4].offset + 100],
        "empty": b"",
        "flipped": bytes(flipped),
        "text": b"not a tar\n" * 1000,
    }
    for name, content in broken.items():
        (folder / f"{name}.tar").write_bytes(content)
    write_tar(folder / "intact.tar.gz", shard(0), "w:gz")
    packed = (folder / "intact.tar.gz").read_bytes()
    (folder / "cut.tar.gz").write_bytes(packed[:-500])
    with tarfile.open(folder / "twice.tar", "w") as tar:
        for _ in range(2):
            info = tarfile.TarInfo("a.txt")
            tar.addfile(info)
    (folder / "gone.tar").symlink_to(folder / "nowhere.tar")
    write_tar(folder / "notes.tar", {"a.txt": b"a", "README": b"no sample"})
    code, rows = restore(folder)
    assert code == 1
    assert all_files(tmp_path / "out") == {
        *("good.tar", "intact.tar.gz", "manifest.csv"),
    }
    intact = {"good.tar", "intact.tar.gz", "notes.tar"}
    failed = {ID: row for ID, row in rows.items() if row.status == "failed"}
    assert failed.keys() == {path.name for path in folder.iterdir()} - intact
    for ID, row in failed.items():
        print(ID, row.reason)
        assert row.reason.startswith("cannot be read as a tar: ")
        assert "\n" not in row.reason and "Error" not in row.reason
    assert "duplicate file name" in failed["twice.tar"].reason
    assert "No such file" in failed["gone.tar"].reason
    assert rows["notes.tar"].status == "skipped"
    # Failed tars are retried.
    (folder / "cut.tar").write_bytes(good)
    _, rows = restore(folder)
    assert rows["cut.tar"].status == "done"


def test_duplicate_recording_fails_the_tar(restore, tmp_path):
    tar = tmp_path / "in.tar"
    write_tar(tar, {"a.flac": audio(), "b.txt": b"b"})
    with tarfile.open(tar, "a") as file:
        file.addfile(tarfile.TarInfo("a.flac"))
    _, rows = restore(tar)
    assert rows["in.tar"].reason.endswith("contains a.flac twice")


def test_member_names_are_not_used_as_paths(restore, tmp_path):
    members = {
        "../../up.flac": audio(),
        f"{tmp_path}/absolute.flac": audio(),
        "./here.flac": audio(),
        f"{'long/' * 60}name.flac": audio(),
        os.fsdecode(b"\xff.flac"): audio(),
        "key._notes.txt": b"notes",
        "dot.": b"no extension: not in a sample",
    }
    tar = write_tar(tmp_path / "in" / "a.tar", members)
    before = all_files(tmp_path) | {"out/a.tar", "out/manifest.csv"}
    code, rows = restore(tar)
    assert code == 0 and all_files(tmp_path) == before
    restored = read_tar(tmp_path / "out" / "a.tar")
    names = [name.replace(".flac", ".wav") for name in members]
    assert list(restored) == names[:-1]
    assert restored["key._notes.txt"] == b"notes"
    assert {f"a.tar/{name}" for name in list(members)[:5]} < rows.keys()


def test_links_in_tars_are_not_followed(restore, tmp_path):
    tar = write_tar(tmp_path / "in.tar", {"a.flac": audio()})
    with tarfile.open(tar, "a") as file:
        link = tarfile.TarInfo("b.flac")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    restore(tar)
    assert list(read_tar(tmp_path / "out/in.tar")) == ["a.wav"]


def test_tars_are_divided_among_shards(restore, tmp_path):
    names = [f"{number:02d}.tar" for number in range(6)]
    for seed, name in enumerate(names):
        write_tar(tmp_path / "in" / name, {"a.flac": audio(0.2, seed)})
    counts = []
    for index in range(2):
        _, rows = restore(
            *(tmp_path / "in", "--num-shards", 2, "--shard-index", index)
        )
        counts.append(len(all_files(tmp_path / "out") & {*names}))
    assert 0 < counts[0] < counts[1] == 6
    assert rows.keys() == {*names, *(f"{name}/a.flac" for name in names)}


def test_full_disk_fails_the_tar(restore, tmp_path, monkeypatch):
    from miipher2.inference import writing

    def full(*_):
        raise OSError(28, "No space left on device")

    tar = write_tar(tmp_path / "in.tar", shard(0, 2))
    with monkeypatch.context() as patch:
        patch.setattr(writing, "atomic_write", full)
        code, rows = restore(tar)
    assert code == 1
    assert {ID: row.reason for ID, row in rows.items()} == {
        "in.tar": "cannot be written: No space left on device"
    }
    assert all_files(tmp_path / "out") == {"manifest.csv"}
    code, rows = restore(tar)
    assert code == 0 and rows["in.tar"].status == "done"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["OUT"], "tars need webdataset: pip install webdataset"),
        (["OUT.tar"], "OUT.tar: expected a folder, because the input"),
    ],
)
def test_tars_require_webdataset_and_an_output_folder(
    tiny_model, tmp_path, monkeypatch, capsys, options, reason
):
    if "need" in reason:
        monkeypatch.setitem(sys.modules, "webdataset", None)
    tar = write_tar(tmp_path / "in.tar", shard(0, 1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main(["restore", str(tar), *options, "--model", str(tiny_model)])
    assert exit_.value.code == 2
    assert f"error: {reason}" in capsys.readouterr().err
    assert not (tmp_path / "OUT").exists()
