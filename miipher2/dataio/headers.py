"""Parallel reading of the headers of audio files.

Authors
 * The miipher2 authors 2026
"""

import logging
import os
from multiprocessing.pool import ThreadPool
from typing import NamedTuple

import soundfile
from tqdm import tqdm

from miipher2.dataio.sound_file import UNFINISHED, SoundFile
from miipher2.dataio.wording import count
from miipher2.errors import UserError

logger = logging.getLogger(__name__)

# libsndfile's number of frames for a stream whose header gives no length.
UNKNOWN_FRAMES = 2**63 - 1
# Maximum difference in duration between the two files of a pair, in seconds.
PAIR_TOLERANCE = 0.05


class Header(NamedTuple):
    """Properties of an audio file.

    ``unfinished`` is True if the header gives a length of 0 although samples
    follow; see ``SoundFile``.
    """

    seconds: float
    sample_rate: int
    channels: int
    unfinished: bool = False


def read_headers(data_folder, files):
    """Read the headers of many files in parallel, with a progress bar.

    A warning is logged for each unusable file.

    Arguments
    ---------
    data_folder : str or Path
        The folder to which paths are relative.
    files : list of AudioFile
        Files to open.

    Returns
    -------
    headers : dict
        ``Header`` by path, for the usable files.
    failed : list of tuple
        ``(path, reason)`` of the unusable files.

    Example
    -------
    >>> from miipher2.dataio.audio_files import list_audio
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", [0.0] * 4000, 8000)
    >>> _ = (folder / "b.wav").write_bytes(b"noise")
    >>> headers, failed = read_headers(folder, list_audio(folder))
    >>> headers["a.wav"].seconds, headers["a.wav"].sample_rate
    (0.5, 8000)
    >>> [path for path, _ in failed]
    ['b.wav']
    """

    def read(file):
        if "$" in file.path:
            return (
                "its path contains '$', which manifests reserve for $data_root"
            )
        return _read_header(os.path.join(data_folder, file.path))

    headers, failed = {}, []
    # Up to 4 threads per core, because latency dominates on network drives.
    with ThreadPool(min(32, 4 * (os.cpu_count() or 1))) as pool:
        results = pool.imap(read, files, chunksize=16)
        # disable=None shows the bar on a terminal only, not in a log file.
        bar = tqdm(results, "headers", len(files), unit="file", disable=None)
        for file, result in zip(files, bar, strict=True):
            if isinstance(result, Header):
                headers[file.path] = result
            else:
                failed.append((file.path, result))
    for path, header in headers.items():
        if header.unfinished:
            logger.warning("%s: %s", path, UNFINISHED)
    for path, reason in failed:
        shown = path.encode("utf-8", "backslashreplace").decode("utf-8")
        logger.warning("%s: skipped: %s", shown, reason)
    if failed:
        logger.warning(
            "skipped %d of %s", len(failed), count(len(files), "file")
        )
    return headers, failed


def _read_header(path):
    """Return a ``Header``, or the reason why the file is unusable."""
    try:
        path.encode("utf-8")
        with SoundFile(path) as file:
            frames, rate = file.frames, file.samplerate
            channels, unfinished = file.channels, file.unfinished
    except UnicodeEncodeError:
        return "its name is not valid UTF-8"
    except UserError as error:
        return str(error).removeprefix(f"{path}: ")
    except OSError as error:
        return error.strerror
    except soundfile.SoundFileError as error:
        return getattr(error, "error_string", str(error)).strip(" .\n")
    if frames <= 0:
        return "contains no samples"
    if frames == UNKNOWN_FRAMES:
        return "its header gives no length"
    return Header(frames / rate, rate, channels, unfinished)


def check_pair(clean, clean_path, noisy, noisy_path):
    """Check that two files can be used as a pair.

    Arguments
    ---------
    clean, noisy : Header
        Headers of the two files.
    clean_path, noisy_path : str
        Paths of the two files, for the error message.

    Raises
    ------
    UserError
        If sample rates or numbers of channels differ, or if durations differ by
        more than 50 ms.

    Example
    -------
    >>> header = Header(seconds=1.0, sample_rate=16000, channels=1)
    >>> check_pair(header, "clean/a.wav", header._replace(seconds=1.04), "-")
    """
    for field, name, unit in (
        ("sample_rate", "sample rate", " Hz"),
        ("channels", "number of channels", ""),
        ("seconds", "duration", " s"),
    ):
        a, b = getattr(clean, field), getattr(noisy, field)
        if abs(a - b) > (PAIR_TOLERANCE if field == "seconds" else 0):
            raise UserError(
                f"expected the same {name} in both files of a pair, found "
                f"{b:g}{unit} in {noisy_path} and {a:g}{unit} in {clean_path}"
            )
