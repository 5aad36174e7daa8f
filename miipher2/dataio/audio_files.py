"""Finding audio files below a folder.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import logging
import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from miipher2.dataio.formats import (
    CORPUS_SUFFIXES,
    RECORDING_SUFFIXES,
    UNREADABLE_SUFFIXES,
    has_suffix,
)
from miipher2.dataio.sound_file import irregular
from miipher2.dataio.wording import count
from miipher2.errors import UserError

logger = logging.getLogger(__name__)


class AudioFile(NamedTuple):
    """An audio file in a folder, not yet opened.

    Arguments
    ---------
    path : str
        Path relative to the folder, with ``/`` on every system.
    size : int
        Size in bytes.
    mtime_ns : int
        Modification time in nanoseconds.
    """

    path: str
    size: int
    mtime_ns: int

    @property
    def folders(self):
        """Names of the folders in the path."""
        return self.path.split("/")[:-1]

    @property
    def stem(self):
        """Relative path without the suffix."""
        return os.path.splitext(self.path)[0]

    @property
    def name(self):
        """File name without the suffix."""
        return self.stem.rsplit("/", 1)[-1]


def corpus_root(data_folder, *names):
    """Find a corpus in a folder or one level below it.

    Arguments
    ---------
    data_folder : str or Path
        The folder given by the user.
    *names : str
        Possible folder names of the unpacked corpus.

    Returns
    -------
    Path
        ``data_folder``, or its subfolder with one of the names.

    Raises
    ------
    UserError
        If ``data_folder`` is not a folder, or contains more than one of
        ``names``, that is, several versions of the corpus.

    Example
    -------
    >>> root = corpus_root(getfixture("tmp_path"), "jvs_ver1")
    >>> root == getfixture("tmp_path")
    True
    """
    data_folder = _folder(data_folder)
    inside = [name for name in names if (data_folder / name).is_dir()]
    if len(inside) > 1:
        raise UserError(
            f"{data_folder}: expected one version of the corpus, found "
            f"{' and '.join(inside)}; give the folder of one of them"
        )
    return data_folder / inside[0] if inside else data_folder


def _folder(path):
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such folder")
    if not path.is_dir():
        raise UserError(f"{path}: expected a folder with audio, found a file")
    return path


def first_folder(data_folder, folders):
    """Return the first folder of a path, which names the speaker.

    Arguments
    ---------
    data_folder : str or Path
        Folder whose name is returned if ``folders`` is empty.
    folders : list of str
        Folders between ``data_folder`` and a file; may be empty.

    Returns
    -------
    str
        Name of the folder.

    Example
    -------
    >>> first_folder("/data/voices", ["anna", "2024"])
    'anna'
    >>> first_folder("/data/voices", [])
    'voices'
    """
    return folders[0] if folders else Path(data_folder).resolve().name


def contents(folder):
    """Summarise the contents of a folder for error messages.

    Arguments
    ---------
    folder : str or Path
        The folder.

    Returns
    -------
    str
        Up to six names and the number of further names, or "nothing".

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "wavs").mkdir()
    >>> contents(folder)
    'wavs/'
    """
    entries = sorted(Path(folder).iterdir())
    names = [entry.name + "/" * entry.is_dir() for entry in entries]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more or "nothing"


def list_audio(
    data_folder,
    *folders,
    suffixes=CORPUS_SUFFIXES,
    on_error=None,
    on_skip=None,
):
    """List the audio files below a folder, except hidden files and folders.

    Symbolic links to folders are followed. Each folder is visited once, even if
    links form a loop. Audio files with other suffixes and files that are not
    regular files, such as FIFOs, are skipped.

    Arguments
    ---------
    data_folder : str or Path
        The folder to which paths are relative.
    *folders : Path
        Folders in ``data_folder`` to search; default: all. Missing folders are
        skipped.
    suffixes : tuple of str
        Suffixes of audio files, in lower case.
    on_error : callable
        Called with an ``OSError`` for each unreadable folder. None to log a
        warning.
    on_skip : callable
        Called with an ``AudioFile`` and the reason for each skipped file. None
        to log one warning per reason.

    Returns
    -------
    list of AudioFile
        Files sorted by path.

    Raises
    ------
    UserError
        If ``data_folder`` is not a folder.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "anna").mkdir()
    >>> _ = (folder / "anna" / "1.WAV").write_bytes(b"")
    >>> [file.path for file in list_audio(folder)]
    ['anna/1.WAV']
    """
    data_folder = _folder(data_folder)
    known = suffixes + RECORDING_SUFFIXES + UNREADABLE_SUFFIXES
    by_reason, visited = defaultdict(list), set()
    for start in folders or [data_folder]:
        walk = os.walk(
            start, followlinks=True, onerror=on_error or _warn_unreadable
        )
        for folder, subfolders, names in walk:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                subfolders.clear()
                continue
            visited.add((status.st_dev, status.st_ino))
            subfolders[:] = sorted(s for s in subfolders if s[0] != ".")
            for name in names:
                if name[0] == "." or not has_suffix(name, known):
                    continue
                file, reason = _audio_file(data_folder, folder, name, suffixes)
                by_reason[reason].append(file)
    files = by_reason.pop("", [])
    for reason, skipped in sorted(by_reason.items()):
        if on_skip is None:
            _warn_skipped(reason, sorted(skipped))
        else:
            for file in sorted(skipped):
                on_skip(file, reason)
    return sorted(files)


def _audio_file(data_folder, folder, name, suffixes):
    """Return an ``AudioFile`` and the reason to skip it ("" for none)."""
    path = os.path.join(folder, name)
    relative = os.path.relpath(path, data_folder).replace(os.sep, "/")
    file, file_type = AudioFile(relative, 0, 0), ""
    # A broken link has no status; it is reported when its header is read.
    with contextlib.suppress(OSError):
        status = os.stat(path)
        file = AudioFile(relative, status.st_size, status.st_mtime_ns)
        file_type = irregular(status)
    if file_type:
        return file, f"expected a regular file, found {file_type}"
    if not has_suffix(name, suffixes):
        suffix = os.path.splitext(name.rstrip(" ."))[1].lower()
        return file, f"{suffix} is not supported; convert it to .wav or .flac"
    return file, ""


def _warn_skipped(reason, files):
    shown = files[0].path.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(files) > 1:
        shown += f" and {count(len(files) - 1, 'other')}"
    logger.warning("%s: skipped: %s", shown, reason)


def _warn_unreadable(error):
    if not isinstance(error, FileNotFoundError):
        logger.warning("%s: skipped: %s", error.filename, error.strerror)
