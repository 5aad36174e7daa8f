"""Tests of input lists, output names and shards.

Authors
 * The miipher2 authors 2026
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from miipher2.dataio.journal import shard_of
from miipher2.errors import UserError
from miipher2.inference.corpus.inputs import list_items


@pytest.fixture
def corpus(tmp_path):
    """Return a function that writes empty files and returns their folder."""

    def write(*names, folder="in"):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return tmp_path / folder

    return write


def outputs(inputs, output, suffix=".wav"):
    return {item.ID: item.output for item in list_items(inputs, output, suffix)}


def test_outputs_keep_the_folder_structure(corpus, tmp_path):
    folder = corpus(
        "a.wav",
        "s/a.wav",
        "s/a.FLAC",
        "s/b ü.ogg",
        "v.mp4",
        "notes.txt",
        ".h.wav",
    )
    assert outputs([folder], tmp_path / "out") == {
        "a.wav": "a.wav",
        "s/a.FLAC": "s/a.FLAC.wav",
        "s/a.wav": "s/a.wav.wav",
        "s/b ü.ogg": "s/b ü.wav",
        "v.mp4": "v.wav",
    }
    assert outputs([folder], tmp_path / "out", ".flac")["v.mp4"] == "v.flac"


def test_files_folders_and_manifests_can_be_combined(corpus, tmp_path):
    first = corpus("x/a.wav", folder="one")
    second = corpus("b.wav", folder="two")
    single = corpus("c.wav", folder="three") / "c.wav"
    manifest = corpus("m/d.wav", "list.csv", folder="four") / "list.csv"
    outside = corpus("e.flac", folder="five") / "e.flac"
    manifest.write_text(
        f"ID,wav\nd,$data_root/m/d.wav\nsub/e,{outside}\n", encoding="utf-8"
    )
    inputs = [first, second, single, manifest]
    items = list_items(inputs, tmp_path / "out", ".wav")
    assert {item.ID: item.input.resolve() for item in items} == {
        "one/x/a.wav": first / "x/a.wav",
        "two/b.wav": second / "b.wav",
        "c.wav": single,
        "m/d.wav": manifest.parent / "m/d.wav",
        "sub/e.flac": outside,
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path\na.wav\n", "the columns wav, found path"),
        ("ID,wav\na,\n", "line 2: wav is empty"),
        ("wav\n../b.wav\n", "name its output in the ID column"),
        ("ID,wav\n../../evil,../b.wav\n", "points outside the output folder"),
        ("", "found none"),
    ],
)
def test_invalid_manifests_raise_an_error(corpus, tmp_path, text, reason):
    manifest = corpus("list.csv") / "list.csv"
    manifest.write_text(text)
    with pytest.raises(UserError, match=reason):
        list_items([manifest], tmp_path / "out", ".wav")


def test_outputs_never_overwrite_inputs(corpus, tmp_path):
    folder = corpus("a.wav", "b/a.wav")
    for output in (folder, Path(f"{folder}/b/..")):
        with pytest.raises(UserError, match="choose a different output"):
            list_items([folder], output, ".wav")
    with pytest.raises(UserError, match="would overwrite an input"):
        list_items([folder / "a.wav"], folder, ".wav")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(UserError, match="would overwrite an input"):
        list_items([folder / "a.wav"], tmp_path / "link", ".wav")
    # An input that is a symbolic link to an output.
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c.wav").write_bytes(b"")
    (folder / "c.wav").symlink_to(tmp_path / "out" / "c.wav")
    with pytest.raises(UserError, match="would overwrite an input"):
        list_items([folder], tmp_path / "out", ".wav")


def test_output_folder_inside_the_input_is_skipped(corpus):
    folder = corpus("a.wav", "out/a.wav", "out2/a.wav")
    assert list(outputs([folder], folder / "out")) == ["a.wav", "out2/a.wav"]


def test_symbolic_link_loops_are_not_followed(corpus, tmp_path):
    folder = corpus("s/a.wav")
    (folder / "s" / "loop").symlink_to(folder)
    (folder / "b.wav").symlink_to(folder / "b.wav")
    assert list(outputs([folder], tmp_path / "out")) == ["b.wav", "s/a.wav"]


def test_missing_and_colliding_inputs_raise_an_error(corpus, tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        list_items([tmp_path / "nothing"], tmp_path / "out", ".wav")
    with pytest.raises(UserError, match="no recordings found"):
        list_items([corpus("notes.txt")], tmp_path / "out", ".wav")
    first = corpus("a/x.wav", folder="one") / "a"
    second = corpus("a/x.wav", folder="two") / "a"
    with pytest.raises(UserError, match="both would have the ID a/x.wav"):
        list_items([first, second], tmp_path / "out", ".wav")


def test_unreadable_folder_becomes_an_item(corpus, tmp_path, monkeypatch):
    folder, scandir = corpus("a.wav", "s/t/b.wav"), os.scandir

    def forbidden(path):
        if str(path).endswith("s"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    items = list_items([folder], tmp_path / "out", ".wav")
    assert [(item.ID, item.output, item.status) for item in items] == [
        ("a.wav", "a.wav", ""),
        ("s", "", "failed"),
    ]
    assert items[1].reason == "cannot be listed: Permission denied"


def test_shards_have_about_the_same_size():
    names = [f"speaker{n % 7}/{n:05d}.flac" for n in range(8000)]
    shards = Counter(shard_of(name, 8) for name in names)
    assert set(shards) == set(range(8))
    assert max(shards.values()) < 1.15 * min(shards.values())
