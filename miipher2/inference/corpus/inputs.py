"""Inputs of a run, and names of their outputs.

Authors
 * The miipher2 authors 2026
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from miipher2.dataio.audio_files import list_audio
from miipher2.dataio.digest import file_digest
from miipher2.dataio.formats import (
    RECORDING_SUFFIXES,
    TAR_SUFFIXES,
    has_suffix,
)
from miipher2.dataio.output_names import check_overwriting, unique_stems
from miipher2.dataio.sound_file import irregular
from miipher2.dataio.tables import read_table
from miipher2.errors import UserError
from miipher2.inference.items import Item


def is_tar(name):
    """Return whether a file name has a tar suffix.

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
    return has_suffix(name, TAR_SUFFIXES)


def list_items(inputs, output, suffix):
    """List the recordings and tars of a run.

    Tars are not opened. If the output folder is inside an input folder, the
    files in the output folder are not listed. With several input folders, the
    outputs of each are in a subfolder with the name of the input folder, as
    with ``cp -r``.

    Arguments
    ---------
    inputs : list of str or Path
        Paths of recordings, tars, folders and CSV manifests.
    output : str or Path
        The output folder.
    suffix : str
        Suffix of the restored recordings: ``.wav``, ``.flac`` or ``.ogg``.

    Returns
    -------
    list of Item
        The items, sorted by ID. The output of a recording is
        ``<stem><suffix>``, or ``<stem>.<old suffix><suffix>`` if names would
        collide. Tars keep their names.

    Raises
    ------
    UserError
        If an input is missing or invalid, if no recordings are found, if two
        inputs have the same ID, or if an output would overwrite an input.

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
    restored = {name for name, item in found.items() if not item.status}
    outputs = {name: name for name in restored if is_tar(name)}
    stems = unique_stems(restored - outputs.keys())
    outputs |= {name: stem + suffix for name, stem in stems.items()}
    items = [
        item._replace(output=outputs.get(name, ""))
        for name, item in sorted(found.items())
    ]
    check_overwriting(
        [(i.input, Path(output, i.output)) for i in items if not i.status]
    )
    return items


def _find(inputs, output):
    """Return all recordings and tars by ID, without output names."""
    folders = [Path(path).is_dir() for path in inputs]
    found = {}
    for path, is_folder in zip(inputs, folders, strict=True):
        path = Path(path)
        if is_folder:
            listed = _list_folder(path, output, keep_name=sum(folders) > 1)
        elif path.suffix.lower() == ".csv" and path.is_file():
            listed = _list_manifest(path)
        elif path.is_file():
            listed = [_item(path.name, path)]
        elif path.exists():
            kind = irregular(path.stat())
            raise UserError(f"{path}: expected a regular file, found {kind}")
        else:
            raise UserError(f"{path}: no such file or folder")
        for item in listed:
            other = found.setdefault(item.ID, item)
            if other is not item:
                raise UserError(
                    f"{item.input} and {other.input}: both would have the ID "
                    f"{item.ID}; restore them to different folders"
                )
    if not found:
        raise UserError(
            f"{', '.join(map(str, inputs))}: no recordings found; expected "
            "audio files, tars, folders or CSV manifests"
        )
    return found


def _list_folder(folder, output, keep_name):
    """Return the recordings and tars below a folder.

    Skipped files and subfolders that cannot be listed are also returned as
    items, so that they appear in the manifest.
    """
    if folder.resolve() == output.resolve():
        raise UserError(
            f"{output}: is the input folder; its recordings would be "
            "overwritten; choose a different output"
        )
    excluded = None
    if output.resolve().is_relative_to(folder.resolve()):
        relative = output.resolve().relative_to(folder.resolve())
        excluded = f"{relative.as_posix()}/"
    prefix = f"{folder.resolve().name}/" if keep_name else ""
    errors, skipped = [], []
    files = list_audio(
        folder,
        suffixes=RECORDING_SUFFIXES + TAR_SUFFIXES,
        on_error=errors.append,
        on_skip=lambda file, reason: skipped.append((file, "skipped", reason)),
    )
    items = [
        Item(
            *(file.path, folder / file.path, "", file.size, file.mtime_ns),
            status=status,
            reason=reason,
        )
        for file, status, reason in [*((f, "", "") for f in files), *skipped]
    ]
    for error in errors:
        path = os.path.relpath(error.filename, folder)
        if path == os.curdir:
            raise UserError(f"{folder}: cannot be listed: {error.strerror}")
        if path != "lost+found":  # belongs to the file system
            name = path.replace(os.sep, "/")
            reason = f"cannot be listed: {error.strerror}"
            items.append(
                Item(name, folder / path, "", 0, status="failed", reason=reason)
            )
    return [
        item._replace(ID=prefix + item.ID)
        for item in items
        if excluded is None or not item.ID.startswith(excluded)
    ]


def _list_manifest(path):
    """Return the recordings and tars in a CSV manifest.

    Paths are relative to the manifest's folder; a variable at the beginning,
    such as ``$data_root``, stands for this folder. The ``ID`` column names the
    outputs of inputs outside this folder.
    """
    listed = []
    # File names are not always valid UTF-8, hence surrogateescape.
    for line, row in read_table(path, ("wav",), errors="surrogateescape"):
        wav = re.sub(r"^\$\w+/", "", row["wav"] or "")
        where = f"{path}, line {line}"
        if not wav:
            raise UserError(f"{where}: wav is empty; expected a path")
        file = path.parent / wav
        name = os.path.normpath(os.path.relpath(file, path.parent))
        if _is_outside(name):
            if not row.get("ID"):
                raise UserError(
                    f"{where}: {wav} is outside the manifest's folder; "
                    "name its output in the ID column"
                )
            name = os.path.normpath(row["ID"].lstrip("/") + file.suffix)
            if _is_outside(name):
                raise UserError(
                    f"{where}: ID {row['ID']} points outside the output folder"
                )
        listed.append(_item(name.replace(os.sep, "/"), file))
    return listed


def _is_outside(path):
    """Return whether a normalised relative path leaves its folder."""
    return path.split(os.sep)[0] == os.pardir


def _item(name, path):
    """Return the item of a file."""
    try:
        status = path.stat()
    except OSError:  # reported when the file is read
        return Item(name, path, "", 0)
    item = Item(name, path, "", status.st_size, status.st_mtime_ns)
    kind = irregular(status)
    if kind:
        reason = f"expected a regular file, found {kind}"
        return item._replace(status="skipped", reason=reason)
    return item


def with_hashes(items, workers):
    """Compute the hashes of the inputs.

    Arguments
    ---------
    items : list of Item
        The items.
    workers : int
        Number of threads.

    Returns
    -------
    list of Item
        The items with ``sha256``. If an input cannot be read, its hash is
        empty; the error is reported when the input is restored.
    """

    def with_hash(item):
        if item.status:  # reading a FIFO would block
            return item
        try:
            return item._replace(sha256=file_digest(item.input))
        except OSError:
            return item

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(with_hash, items))
