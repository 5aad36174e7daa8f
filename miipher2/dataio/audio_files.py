"""Finding audio files below a folder and reading their headers.

Authors
 * The miipher2 authors 2026
"""

import logging
import os
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import soundfile
from tqdm import tqdm

from miipher2.dataio.formats import CORPUS_SUFFIXES
from miipher2.errors import UserError

logger = logging.getLogger(__name__)

# What libsndfile says when the header of a stream leaves the length open.
UNKNOWN_FRAMES = 2**63 - 1
# Noisy and clean files of a pair may differ by this much, in seconds.
PAIR_TOLERANCE = 0.05


class AudioFile(NamedTuple):
    """A listed file: nothing of it was read yet.

    Arguments
    ---------
    path : str
        Relative to the listed folder, with ``/`` on every system.
    size : int
        Bytes.
    mtime_ns : int
        When it was last written.
    """

    path: str
    size: int
    mtime_ns: int

    @property
    def folders(self):
        """Names of the folders above the file."""
        return self.path.split("/")[:-1]

    @property
    def stem(self):
        """The path without the suffix."""
        return os.path.splitext(self.path)[0]

    @property
    def name(self):
        """The file's name without folders and suffix."""
        return self.stem.rsplit("/", 1)[-1]


class Header(NamedTuple):
    """What the header of an audio file says."""

    seconds: float
    sample_rate: int
    channels: int


def corpus_root(data_folder, *names):
    """Finds the corpus in the folder given, or one level below it.

    Arguments
    ---------
    data_folder : str or Path
        What the user gave.
    *names : str
        What the corpus's own folder is called when it is unpacked.

    Returns
    -------
    Path
        ``data_folder`` or the folder of that name in it.

    Raises
    ------
    UserError
        If ``data_folder`` is not a folder, or several of the names are in it:
        they hold the same speech.

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
            f"{data_folder}: expected one corpus, found {' and '.join(inside)};"
            " give the folder of one of them"
        )
    return data_folder / inside[0] if inside else data_folder


def _folder(path):
    path = Path(path)
    if not path.is_dir():
        raise UserError(
            f"{path}: expected a folder with audio, found "
            f"{'a file' if path.exists() else 'nothing there'}"
        )
    return path


def first_folder(data_folder, folders):
    """Names who speaks by the first folder above a file.

    Arguments
    ---------
    data_folder : str or Path
        Its name is taken for files that lie in no folder below it.
    folders : list of str
        Folders from there on down to the file.

    Returns
    -------
    str
        The name.

    Example
    -------
    >>> first_folder("/data/voices", ["anna", "2024"])
    'anna'
    >>> first_folder("/data/voices", [])
    'voices'
    """
    return folders[0] if folders else Path(data_folder).resolve().name


def contents(folder):
    """Says in a few words what a folder holds, for error messages.

    Arguments
    ---------
    folder : str or Path
        The folder.

    Returns
    -------
    str
        The first names and how many more there are.

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


def list_audio(data_folder, *folders, suffixes=CORPUS_SUFFIXES, unlisted=None):
    """Lists audio files; hidden files and folders are passed over.

    Linked folders are followed, each folder once, so that loops end.

    Arguments
    ---------
    data_folder : str or Path
        What the paths are relative to.
    *folders : Path
        Where to look, if not in all of ``data_folder``. They lie in it; those
        that do not exist are passed over.
    suffixes : tuple of str
        How names of recordings end, in lower case.
    unlisted : callable
        Gets an ``OSError`` for each folder that cannot be listed; None: the
        log names them.

    Returns
    -------
    list of AudioFile
        Sorted by path.

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
    files, seen = [], set()
    for start in folders or [data_folder]:
        told = unlisted or _unreadable_folder
        walk = os.walk(start, followlinks=True, onerror=told)
        for folder, subfolders, names in walk:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                subfolders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            subfolders[:] = sorted(s for s in subfolders if s[0] != ".")
            for name in names:
                if name[0] != "." and name.lower().endswith(suffixes):
                    files.append(_listed(data_folder, folder, name))
    return sorted(files)


def _listed(data_folder, folder, name):
    path = os.path.join(folder, name)
    relative = os.path.relpath(path, data_folder).replace(os.sep, "/")
    try:
        status = os.stat(path)
    except OSError:  # a broken link: read_headers names it
        return AudioFile(relative, 0, 0)
    return AudioFile(relative, status.st_size, status.st_mtime_ns)


def _unreadable_folder(error):
    if not isinstance(error, FileNotFoundError):
        logger.warning("%s: left out: %s", error.filename, error.strerror)


def read_headers(data_folder, files):
    """Reads the headers of many files in parallel.

    A bar shows the progress on a terminal. What cannot be used is logged by
    name, and counted at the end.

    Arguments
    ---------
    data_folder : str or Path
        What the paths are relative to.
    files : list of AudioFile
        What to read.

    Returns
    -------
    headers : dict
        ``Header`` by path, for the files that can be used.
    failed : list of tuple
        ``(path, reason)`` of the others.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", [0.0] * 4000, 8000)
    >>> _ = (folder / "b.wav").write_bytes(b"noise")
    >>> headers, failed = read_headers(folder, list_audio(folder))
    >>> headers
    {'a.wav': Header(seconds=0.5, sample_rate=8000, channels=1)}
    >>> [path for path, _ in failed]
    ['b.wav']
    """

    def read(file):
        if "$" in file.path:
            return "'$' in the name, which manifests keep for $data_root"
        return _read_header(os.path.join(data_folder, file.path))

    headers, failed = {}, []
    # Many threads for few cores: on network drives the time goes in waiting.
    with ThreadPool(min(32, 4 * (os.cpu_count() or 1))) as pool:
        results = pool.imap(read, files, chunksize=16)
        # disable=None: a bar on a terminal, none in a log file.
        bar = tqdm(results, "headers", len(files), unit="file", disable=None)
        for file, result in zip(files, bar, strict=True):
            if isinstance(result, Header):
                headers[file.path] = result
            else:
                failed.append((file.path, result))
    for path, reason in failed:
        shown = path.encode("utf-8", "backslashreplace").decode("utf-8")
        logger.warning("%s: left out: %s", shown, reason)
    if failed:
        logger.warning(
            "%d of %d files left out: they cannot be used",
            len(failed),
            len(files),
        )
    return headers, failed


def _read_header(path):
    """A ``Header``, or a string that says why there is none."""
    try:
        path.encode("utf-8")
        info = soundfile.info(path)
    except UnicodeEncodeError:
        return "the name is not valid UTF-8"
    except (soundfile.SoundFileError, OSError) as error:
        return _why(path) or getattr(error, "error_string", str(error))
    if info.frames <= 0:
        return "holds no samples"
    if info.frames == UNKNOWN_FRAMES:
        return "its header does not give a length"
    return Header(info.frames / info.samplerate, info.samplerate, info.channels)


def _why(path):
    """Reasons that libsndfile's messages do not tell."""
    try:
        with open(path, "rb") as file:
            return "" if file.read(1) else "an empty file (0 bytes)"
    except OSError as error:
        return error.strerror


def check_pair(clean, clean_path, noisy, noisy_path):
    """Makes sure that two files can be the two sides of a pair.

    Arguments
    ---------
    clean, noisy : Header
        What their headers say.
    clean_path, noisy_path : str
        How the message is to call them.

    Raises
    ------
    UserError
        If rates or channels differ, or durations by over 50 ms.

    Example
    -------
    >>> header = Header(seconds=1.0, sample_rate=16000, channels=1)
    >>> check_pair(header, "clean/a.wav", header._replace(seconds=1.04), "-")
    """
    for field, unit in (
        ("sample_rate", " Hz"),
        ("channels", ""),
        ("seconds", " s"),
    ):
        a, b = getattr(clean, field), getattr(noisy, field)
        if abs(a - b) > (PAIR_TOLERANCE if field == "seconds" else 0):
            raise UserError(
                f"expected the same {field.replace('_', ' ')} in both files of "
                f"a pair, found {b:g}{unit} in {noisy_path} and {a:g}{unit} "
                f"in {clean_path}"
            )
