"""Tests of the journal and the manifest.

Authors
 * The miipher2 authors 2026
"""

import dataclasses
import os
import types
from pathlib import Path

import pytest

from miipher2.dataio import journal as line_journal
from miipher2.errors import UserError
from miipher2.inference.corpus.journal import Journal
from miipher2.inference.corpus.manifest import read_rows, write_rows
from miipher2.inference.items import Item, Row


def row(name, status="done", size=4, **fields):
    return Row(
        name,
        f"in/{name}",
        name,
        status,
        bytes=size,
        model="m",
        settings="s",
        **fields,
    )


def is_done(journal, name="a.wav", output=None, model="m", settings="s"):
    item = Item(name, Path("in", name), output or name, 0)
    return journal.is_done(item, model, settings)


@pytest.fixture
def output(tmp_path):
    """Output folder that contains an output of 4 bytes."""
    (tmp_path / "a.wav").write_bytes(b"done")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_done_requires_the_same_output_model_and_settings(output):
    for status in ("done", "silent"):
        with Journal(output) as journal:
            assert not is_done(journal, "other.wav")
            journal.append(row("a.wav", status))
            journal.append(row("b.wav", status))  # b.wav does not exist
        with Journal(output) as journal:
            assert is_done(journal)
            assert not is_done(journal, "b.wav")
            assert not is_done(journal, output="a.wav.wav")
            assert not is_done(journal, model="another")
            assert not is_done(journal, settings="other")
            (output / "a.wav").write_bytes(b"do")
            assert not is_done(journal)
            (output / "a.wav").write_bytes(b"done")


def test_output_of_another_recording_is_an_error(output, tmp_path):
    first, second, moved = (tmp_path / name / "a.wav" for name in "123")
    for path in (first, second):
        path.parent.mkdir()
        path.write_bytes(b"audio")
    with Journal(output) as journal:
        journal.append(dataclasses.replace(row("a.wav"), input=str(first)))
    with Journal(output) as journal:

        def is_done_for(path):
            return journal.is_done(Item("a.wav", path, "a.wav", 0), "m", "s")

        assert is_done_for(first) and is_done_for(
            first.parent / ".." / "1" / "a.wav"
        )
        with pytest.raises(
            UserError, match="2/a.wav: .* was restored from .*1/a"
        ):
            is_done_for(second)
        first.rename(moved.parent.with_name("moved.wav"))
        assert is_done_for(second)  # the corpus was moved


def test_done_requires_an_unchanged_input(output):
    first = Item("a.wav", Path("in/a.wav"), "a.wav", 8, 1, "hash")
    with Journal(output) as journal:
        journal.append(row("a.wav"))  # as earlier versions wrote it

    def is_done(**fields):
        with Journal(output) as journal:
            item = first._replace(**fields)
            return journal.is_done(item, "m", "s")

    assert is_done()  # this also records size, time and hash
    assert not is_done(size=9, sha256="")
    assert not is_done(mtime_ns=2, sha256="")
    assert is_done(sha256="") and is_done()
    assert not is_done(sha256="other")
    assert is_done(mtime_ns=2)  # the content is the same
    assert is_done(mtime_ns=2, sha256="")


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_failed_and_skipped_items_are_not_done(output, status):
    with Journal(output) as journal:
        journal.append(row("a.wav"))
        journal.append(row("a.wav", status))
    with Journal(output) as journal:
        assert not is_done(journal)


@pytest.mark.parametrize("parquet", [False, True])
def test_journal_becomes_the_manifest(output, parquet):
    pytest.importorskip("pyarrow")
    rows = [
        row("a.wav", reason="two\nlines, 早い", seconds=1.25, channels=2),
        row("b.wav", "failed", reason="why"),
    ]
    with Journal(output, parquet=parquet) as journal:
        for line in rows[::-1]:
            journal.append(line)
        assert journal.finish() == rows
    name = "manifest.parquet" if parquet else "manifest.csv"
    assert names(output) == ["a.wav", name]
    assert read_rows(output / name) == rows
    with Journal(output, parquet=not parquet) as journal:
        assert is_done(journal)
        retried = row("b.wav")
        journal.append(retried)
        assert journal.finish() == [rows[0], retried]
    assert len(names(output)) == 2 and name not in names(output)


def test_names_need_not_be_valid_utf8(tmp_path):
    name = os.fsdecode(b"\xff\n.wav")
    with Journal(tmp_path) as journal:
        journal.append(row(name))
        journal.finish()
    assert [row.ID for row in read_rows(tmp_path / "manifest.csv")] == [name]


def test_incomplete_last_line_is_dropped(output):
    with Journal(output) as journal:
        journal.append(row("a.wav"))
        journal.append(row("b.wav", reason="x" * 200_000))
    content = journal.path.read_bytes()
    for end in (len(content) - 1, len(content) - 100_000, 50, 0):
        journal.path.write_bytes(content[:end])
        with Journal(output) as again:
            assert is_done(again) == (end > 1000)
            again.append(row("c.wav"))
        with Journal(output) as again:
            assert "c.wav" in again.known and "b.wav" not in again.known


def test_last_shard_writes_the_manifest(output):
    journals = [Journal(output, shard, 3) for shard in range(3)]
    for number, journal in enumerate(journals):
        with journal:
            assert number == len(journal.known)  # rows of finished shards
            journal.append(row(f"{number}.wav"))
            rows = journal.finish()
            assert (rows is None) == (number < 2)
    assert [row.ID for row in rows] == ["0.wav", "1.wav", "2.wav"]
    assert names(output) == ["a.wav", "manifest.csv"]


def test_run_with_fewer_shards_keeps_the_rows_of_a_killed_run(output):
    with Journal(output, 0, 2) as journal:
        journal.append(row("a.wav"))
        assert journal.finish() is None
    with Journal(output, 1, 2) as killed:
        killed.append(row("b.wav"))
    # The newer row takes precedence.
    with Journal(output) as journal:
        assert is_done(journal) and set(journal.known) == {"a.wav", "b.wav"}
        newer = dataclasses.replace(row("b.wav"), reason="newer")
        journal.append(newer)
        assert journal.finish()[1] == newer
    assert names(output) == ["a.wav", "manifest.csv"]


def test_two_runs_cannot_share_a_folder(output):
    with Journal(output, 0, 2) as journal:
        journal.append(row("a.wav"))
        for shard, count in ((0, 2), (0, 1), (2, 3)):
            with pytest.raises(UserError, match="in use by another run"):
                with Journal(output, shard, count):
                    pass
        with Journal(output, 1, 2) as other:  # another shard of this run
            assert set(other.known) == {"a.wav"}
    with Journal(output) as journal:  # the run has ended
        assert set(journal.known) == {"a.wav"}


def test_two_processes_can_write_the_manifest_at_once(tmp_path, monkeypatch):
    path, rows, replace = tmp_path / "manifest.csv", [row("a.wav")], os.replace

    def meanwhile(source, target):
        monkeypatch.setattr(os, "replace", replace)
        write_rows(path, rows, writer="another")
        replace(source, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    write_rows(path, rows, writer="one")
    assert read_rows(path) == rows and names(tmp_path) == [path.name]


def test_folder_is_locked_while_the_manifest_is_written(output, monkeypatch):
    def meanwhile(*arguments, **options):
        with pytest.raises(UserError, match="in use by another run"):
            with Journal(output):
                pass
        write_rows(*arguments, **options)

    monkeypatch.setattr(
        "miipher2.inference.corpus.journal.write_rows", meanwhile
    )
    with Journal(output) as journal:
        journal.append(row("a.wav"))
        assert len(journal.finish()) == 1
    with Journal(output) as journal:
        assert set(journal.known) == {"a.wav"}


def test_unwritable_output_folder_raises_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        with Journal(tmp_path / "file" / "out"):
            pass
    with pytest.raises(UserError, match="cannot be written to"):
        with Journal("/proc/self"):
            pass


def test_manifest_of_another_format_raises_an_error(tmp_path):
    write_rows(tmp_path / "manifest.csv", [])
    (tmp_path / "manifest.csv").write_text("ID,wav\na,b\n")
    with pytest.raises(UserError, match="not a manifest of restored"):
        with Journal(tmp_path):
            pass


def test_damaged_parquet_manifest_raises_an_error(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "manifest.parquet"
    write_rows(path, [row("a.wav")])
    content = bytearray(path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[footer : footer + 8] = 8 * b"\xff"
    for damaged in (b"damaged", content):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="not a manifest of restored"):
            read_rows(path)


def test_full_disk_raises_an_error(tmp_path):
    with Journal(tmp_path) as journal:
        journal.file.close()
        with open("/dev/full", "ab", buffering=0) as journal.file:
            with pytest.raises(
                UserError, match="No space left .* free some space"
            ):
                journal.append(row("a.wav"))


def test_locked_byte_on_windows_is_beyond_any_journal(output, monkeypatch):
    locked = set()

    def locking(descriptor, mode, count):
        assert (mode, count) == ("no wait", 1)
        byte = (os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, 1))
        if byte in locked:
            raise PermissionError(13, "Permission denied")
        locked.add(byte)

    fake = types.SimpleNamespace(LK_NBLCK="no wait", locking=locking)
    monkeypatch.setattr(line_journal, "fcntl", None)
    monkeypatch.setattr(line_journal, "msvcrt", fake, raising=False)
    with Journal(output) as journal:
        journal.append(row("a.wav"))
        assert [position for _, position in locked] == [2**30]
        with pytest.raises(UserError, match="in use|another run"):
            Journal(output).__enter__()
    locked.clear()  # closing the file releases the lock
    with Journal(output) as journal:
        assert is_done(journal)
