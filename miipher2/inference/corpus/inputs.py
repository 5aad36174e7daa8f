"""The inputs of a run, the names of their outputs, and their shards.

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
    """Return whether a file name is that of a tar, plain or gzipped.

    Arguments
    ---------
    name : str or Path
        The file name.

    Returns
    -------
    bool
        True for ``.tar``, ``.tar.gz`` and ``.tgz``.

    Example
    -------
    >>> is_tar("shard-000000.tar"), is_tar("a.wav")
    (True, False)
    """
    return str(name).lower().endswith(TAR_SUFFIXES)


def list_items(inputs, output, suffix):
    """List the recordings and tars of a run. Tars are not opened.

    An output folder inside an input folder is left out. With several input
    folders, each keeps its own name below the output, as with ``cp -r``.

    Arguments
    ---------
    inputs : list of str or Path
        Recordings, tars, folders of them and CSV manifests.
    output : str or Path
        The output folder.
    suffix : str
        Suffix of the restored recordings: ``.wav``, ``.flac`` or ``.ogg``.

    Returns
    -------
    list of Item
        Sorted by ID. The output of a recording is ``<stem><suffix>``, or
        ``<stem>.<old suffix><suffix>`` if names would collide. Tars keep
        their names.

    Raises
    ------
    UserError
        If there is nothing to restore, two outputs would have the same name,
        or an output would overwrite an input.

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
    found = _find(inputs, Path(output))
    outputs = {name: name for name in found if is_tar(name)}
    stems = unique_stems(found.keys() - outputs.keys())
    outputs |= {name: stem + suffix for name, stem in stems.items()}
    items = [
        Item(name, file, outputs[name], size)
        for name, (file, size) in sorted(found.items())
    ]
    check_overwriting([(i.input, Path(output, i.output)) for i in items])
    return items


def _find(inputs, output):
    """Return ``{ID: (path, size)}`` of all recordings and tars."""
    folders = [Path(path).is_dir() for path in inputs]
    found = {}
    for path, is_folder in zip(inputs, folders, strict=True):
        path = Path(path)
        if is_folder:
            listed = _list_folder(path, output, keep_name=sum(folders) > 1)
        elif path.suffix.lower() == ".csv" and path.is_file():
            listed = _list_manifest(path)
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
        raise UserError(
            f"{', '.join(map(str, inputs))}: no recordings found; expected "
            "audio files, tars, folders of them or CSV manifests"
        )
    return found


def _list_folder(folder, output, keep_name):
    """Return ``(ID, path, size)`` of the recordings and tars below a folder.

    A subfolder that cannot be listed becomes an item, so that reading it
    fails and is reported in the manifest.
    """
    if folder.resolve() == output.resolve():
        raise UserError(
            f"{output}: is the input folder; its recordings would be "
            "overwritten; give another output"
        )
    excluded = None
    if output.resolve().is_relative_to(folder.resolve()):
        relative = output.resolve().relative_to(folder.resolve())
        excluded = f"{relative.as_posix()}/"
    prefix = f"{folder.resolve().name}/" if keep_name else ""
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
        if path != "lost+found":  # belongs to the file system
            files.append((path.replace(os.sep, "/"), 0))
    return [
        (prefix + path, folder / path, size)
        for path, size in files
        if excluded is None or not path.startswith(excluded)
    ]


def _list_manifest(path):
    """Return ``(ID, path, size)`` of the recordings of a CSV manifest.

    Paths are relative to the manifest's folder, as is ``$data_root``.
    Recordings outside that folder are named by the column ID.
    """
    listed = []
    # surrogateescape: file names need not be valid UTF-8.
    for line, row in read_table(path, ("wav",), errors="surrogateescape"):
        wav = re.sub(r"^\$\w+/", "", row["wav"] or "")
        where = f"{path}, line {line}"
        if not wav:
            raise UserError(f"{where}: wav is empty; expected a path")
        file = path.parent / wav
        name = os.path.normpath(os.path.relpath(file, path.parent))
        if name.startswith(os.pardir):
            if not row.get("ID"):
                raise UserError(
                    f"{where}: {wav} is outside the manifest's folder; "
                    "add a column ID to name its output"
                )
            name = os.path.normpath(row["ID"].lstrip("/") + file.suffix)
            if name.startswith(os.pardir):
                raise UserError(
                    f"{where}: ID {row['ID']} leads out of the output folder"
                )
        listed.append((name.replace(os.sep, "/"), file, _size(file)))
    return listed


def _size(path):
    try:
        return path.stat().st_size
    except OSError:  # reported when it is read
        return 0


def shard_of(ID, num_shards):
    """Return the shard of an item, which depends on its ID alone.

    Arguments
    ---------
    ID : str
        ID of the item.
    num_shards : int
        Number of shards.

    Returns
    -------
    int
        From 0 to ``num_shards - 1``.

    Example
    -------
    >>> [shard_of(f"{n}.wav", 4) for n in range(6)]
    [0, 2, 3, 2, 1, 0]
    """
    return int(digest(ID)[:12], 16) % num_shards
