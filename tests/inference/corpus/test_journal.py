"""What is done stays done.

Authors
 * The miipher2 authors 2026
"""

import dataclasses
import os
from pathlib import Path

import pytest

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
    """A folder with an output of 4 bytes."""
    (tmp_path / "a.wav").write_bytes(b"done")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_done_is_there_and_made_in_this_way(output):
    for status in ("done", "silent"):
        with Journal(output) as journal:
            assert not is_done(journal, "other.wav")
            journal.append(row("a.wav", status))
            journal.append(row("b.wav", status))  # there is no b.wav
        with Journal(output) as journal:
            assert is_done(journal)
            assert not is_done(journal, "b.wav")
            assert not is_done(journal, output="a.wav.wav")
            assert not is_done(journal, model="another")
            assert not is_done(journal, settings="other")
            (output / "a.wav").write_bytes(b"do")
            assert not is_done(journal)
            (output / "a.wav").write_bytes(b"done")


def test_another_recording_of_the_same_name_is_not_taken_for_done(
    output, tmp_path
):
    first, second, moved = (tmp_path / name / "a.wav" for name in "123")
    for path in (first, second):
        path.parent.mkdir()
        path.write_bytes(b"sound")
    with Journal(output) as journal:
        journal.append(dataclasses.replace(row("a.wav"), input=str(first)))
    with Journal(output) as journal:

        def look(path):
            return journal.is_done(Item("a.wav", path, "a.wav", 0), "m", "s")

        assert look(first) and look(first.parent / ".." / "1" / "a.wav")
        with pytest.raises(UserError, match="2/a.wav: .* restored from .*1/a"):
            look(second)
        first.rename(moved.parent.with_name("moved.wav"))
        assert look(second)  # the corpus lies elsewhere now


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_what_failed_is_tried_again(output, status):
    with Journal(output) as journal:
        journal.append(row("a.wav"))
        journal.append(row("a.wav", status))
    with Journal(output) as journal:
        assert not is_done(journal)


@pytest.mark.parametrize("parquet", [False, True])
def test_one_manifest_comes_of_it(output, parquet):
    pytest.importorskip("pyarrow") if parquet else None
    rows = [
        row("a.wav", reason="two\nlines, 早い", seconds=1.25, channels=2),
        row("b.wav", "failed", reason="why"),
    ]
    with Journal(output, parquet=parquet) as journal:
        for one in rows[::-1]:
            journal.append(one)
        assert journal.finish() == rows
    name = "manifest.parquet" if parquet else "manifest.csv"
    assert names(output) == ["a.wav", name]
    assert read_rows(output / name) == rows
    with Journal(output, parquet=not parquet) as journal:
        assert is_done(journal)
        again = row("b.wav")
        journal.append(again)
        assert journal.finish() == [rows[0], again]
    assert len(names(output)) == 2 and name not in names(output)


def test_names_that_are_no_valid_text_stay_as_they_are(tmp_path):
    name = os.fsdecode(b"\xff\n.wav")
    with Journal(tmp_path) as journal:
        journal.append(row(name))
        journal.finish()
    assert [one.ID for one in read_rows(tmp_path / "manifest.csv")] == [name]


def test_a_torn_line_is_dropped(output):
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


def test_the_last_part_to_end_makes_the_manifest(output):
    journals = [Journal(output, shard, 3) for shard in range(3)]
    for number, journal in enumerate(journals):
        with journal:
            assert number == len(journal.known)  # what the others have done
            journal.append(row(f"{number}.wav"))
            rows = journal.finish()
            assert (rows is None) == (number < 2)
    assert [one.ID for one in rows] == ["0.wav", "1.wav", "2.wav"]
    assert names(output) == ["a.wav", "manifest.csv"]


def test_a_part_that_was_killed_is_made_up_for(output):
    with Journal(output, 0, 2) as journal:
        journal.append(row("a.wav"))
        assert journal.finish() is None
    with Journal(output, 1, 2) as killed:
        killed.append(row("b.wav"))
    # on fewer machines, and what is newer counts
    with Journal(output) as journal:
        assert is_done(journal) and set(journal.known) == {"a.wav", "b.wav"}
        newer = dataclasses.replace(row("b.wav"), reason="newer")
        journal.append(newer)
        assert journal.finish()[1] == newer
    assert names(output) == ["a.wav", "manifest.csv"]


def test_two_runs_do_not_share_a_folder(output):
    with Journal(output, 0, 2) as journal:
        journal.append(row("a.wav"))
        for shard, count in ((0, 2), (0, 1), (2, 3)):
            with pytest.raises(UserError, match="in use by another run"):
                with Journal(output, shard, count):
                    pass
        with Journal(output, 1, 2) as other:  # the other half of this one
            assert set(other.known) == {"a.wav"}
    with Journal(output) as journal:  # it has ended
        assert set(journal.known) == {"a.wav"}


def test_two_may_write_the_manifest_at_once(tmp_path, monkeypatch):
    path, rows, replace = tmp_path / "manifest.csv", [row("a.wav")], os.replace

    def meanwhile(source, target):
        monkeypatch.setattr(os, "replace", replace)
        write_rows(path, rows, writer="another")
        replace(source, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    write_rows(path, rows, writer="one")
    assert read_rows(path) == rows and names(tmp_path) == [path.name]


def test_who_comes_while_the_manifest_is_written_is_sent_away(
    output, monkeypatch
):
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


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        with Journal(tmp_path / "file" / "out"):
            pass
    with pytest.raises(UserError, match="cannot be written to"):
        with Journal("/proc/self"):
            pass


def test_another_manifest_is_not_overwritten(tmp_path):
    write_rows(tmp_path / "manifest.csv", [])
    (tmp_path / "manifest.csv").write_text("ID,wav\na,b\n")
    with pytest.raises(UserError, match="not a manifest of restored"):
        with Journal(tmp_path):
            pass


def test_a_full_disk_is_named(tmp_path):
    with Journal(tmp_path) as journal:
        journal.file.close()
        with open("/dev/full", "ab", buffering=0) as journal.file:
            with pytest.raises(
                UserError, match="No space left .* free some space"
            ):
                journal.append(row("a.wav"))
