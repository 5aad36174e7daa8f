"""What is to be restored, and where the result goes.

Authors
 * The miipher2 authors 2026
"""

import os
import re
from pathlib import Path

from miipher2.dataio.audio_files import list_audio
from miipher2.dataio.digest import digest
from miipher2.dataio.formats import RECORDING_SUFFIXES, TAR_SUFFIXES
from miipher2.dataio.output_names import check_overwriting, unique_stems
from miipher2.dataio.tables import read_table
from miipher2.errors import UserError
from miipher2.inference.items import Item


def is_tar(name):
    """Whether a file is a tar, by its name.

    Arguments
    ---------
    name : str or Path
        Of the file.

    Returns
    -------
    bool
        Also true if it is compressed with gzip.

    Example
    -------
    >>> is_tar("shard-000000.tar"), is_tar("a.wav")
    (True, False)
    """
    return str(name).lower().endswith(TAR_SUFFIXES)


def list_items(inputs, output, suffix):
    """Lists all recordings of a run, and all tars, unopened.

    Of a folder, the output folder is left out if it lies in it. Several
    folders keep their own names below the output, as ``cp -r`` does it.

    Arguments
    ---------
    inputs : list of str or Path
        Recordings, tars, folders of them and CSV manifests.
    output : str or Path
        The output folder.
    suffix : str
        Of the files to write: ``.wav``, ``.flac``, ``.ogg``.

    Returns
    -------
    list of Item
        Sorted by ID. Their outputs are ``<stem><suffix>``, and
        ``<stem>.<old suffix><suffix>`` where two would be the same; those of
        tars are named as they are.

    Raises
    ------
    UserError
        If there is nothing to restore, two outputs would be the same, or one
        would be an input.

    Example
    -------
    >>> folder = getfixture("tmpdir")
    >>> for name in ("b.mp3", "c.mp3", "c.flac"):
    ...     _ = folder.ensure("in", "a", name)
    >>> items = list_items([folder / "in"], folder / "out", ".wav")
    >>> [(item.ID, item.output) for item in items]
    [('a/b.mp3', 'a/b.wav'),
     ('a/c.flac', 'a/c.flac.wav'),
     ('a/c.mp3', 'a/c.mp3.wav')]
    """
    folders = [Path(path).is_dir() for path in inputs]
    found = {}
    for path, is_folder in zip(inputs, folders, strict=True):
        path = Path(path)
        if is_folder:
            listed = _of_folder(path, Path(output), name=sum(folders) > 1)
        elif path.suffix.lower() == ".csv" and path.is_file():
            listed = _of_manifest(path)
        elif path.is_file():
            listed = [(path.name, path, _size(path))]
        else:
            raise UserError(f"{path}: no such file or folder")
        for name, file, size in listed:
            if name in found:
                raise UserError(
                    f"{file} and {found[name][0]}: both would be restored to "
                    f"{name}; restore them to different folders"
                )
            found[name] = file, size
    if not found:
        raise UserError(f"{', '.join(map(str, inputs))}: no recordings there")
    outputs = {name: name for name in found if is_tar(name)}
    stems = unique_stems(found.keys() - outputs.keys())
    outputs |= {name: stem + suffix for name, stem in stems.items()}
    items = [
        Item(name, file, outputs[name], size)
        for name, (file, size) in sorted(found.items())
    ]
    check_overwriting([(i.input, Path(output, i.output)) for i in items])
    return items


def _of_folder(folder, output, name):
    """``(ID, path, size)`` of the recordings and tars below a folder.

    A folder that cannot be listed is there, too: reading it will tell.
    """
    if folder.resolve() == output.resolve():
        raise UserError(
            f"{output}: is the input; its recordings would be overwritten; "
            "give another output"
        )
    below = None
    if output.resolve().is_relative_to(folder.resolve()):
        below = f"{output.resolve().relative_to(folder.resolve()).as_posix()}/"
    prefix = f"{folder.resolve().name}/" if name else ""
    errors = []
    files = list_audio(
        folder,
        suffixes=RECORDING_SUFFIXES + TAR_SUFFIXES,
        on_error=errors.append,
    )
    files = [(file.path, file.size) for file in files]
    for error in errors:
        path = os.path.relpath(error.filename, folder)
        if path == os.curdir:
            raise UserError(f"{folder}: cannot be listed: {error.strerror}")
        if path != "lost+found":  # of the disk, not of the corpus
            files.append((path.replace(os.sep, "/"), 0))
    return [
        (prefix + path, folder / path, size)
        for path, size in files
        if below is None or not path.startswith(below)
    ]


def _of_manifest(path):
    """``(ID, path, size)`` of the recordings of a CSV file.

    Paths are relative to the file's folder, which is also what ``$data_root``
    stands for. Recordings elsewhere go by the column ID.
    """
    listed = []
    # File names that are not valid UTF-8 stay as they are.
    for line, row in read_table(path, ("wav",), errors="surrogateescape"):
        wav = re.sub(r"^\$\w+/", "", row["wav"] or "")
        place = f"{path}, line {line}"
        if not wav:
            raise UserError(f"{place}: wav is empty")
        file = path.parent / wav
        name = os.path.normpath(os.path.relpath(file, path.parent))
        if name.startswith(os.pardir):
            if not row.get("ID"):
                raise UserError(
                    f"{place}: {wav} does not lie in the manifest's folder; "
                    "add a column ID, which names the output"
                )
            name = os.path.normpath(row["ID"].lstrip("/") + file.suffix)
            if name.startswith(os.pardir):
                raise UserError(
                    f"{place}: ID {row['ID']} leads out of the output folder"
                )
        listed.append((name.replace(os.sep, "/"), file, _size(file)))
    return listed


def _size(path):
    try:
        return path.stat().st_size
    except OSError:  # reading it will tell
        return 0


def shard_of(ID, num_shards):
    """The shard that an item is in, whoever else is.

    Arguments
    ---------
    ID : str
        Of the item.
    num_shards : int
        How many there are.

    Returns
    -------
    int
        Below ``num_shards``.

    Example
    -------
    >>> [shard_of(f"{n}.wav", 4) for n in range(6)]
    [0, 2, 3, 2, 1, 0]
    """
    return int(digest(ID)[:12], 16) % num_shards
