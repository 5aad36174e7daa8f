"""Audio file formats: the suffixes that are read and written.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

from miipher2.errors import UserError

# Corpora for training, degradation and evaluation; all read by soundfile.
CORPUS_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")

# Decoded by PyAV.
PYAV_SUFFIXES = (
    *(".m4a", ".m4b", ".aac", ".wma", ".amr", ".ac3", ".mka", ".weba"),
    *(".webm", ".mp4", ".m4v", ".mov", ".mkv", ".avi", ".3gp", ".ts", ".mpg"),
)

# Recordings to restore.
RECORDING_SUFFIXES = (
    *CORPUS_SUFFIXES,
    *(".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".nist"),
    *PYAV_SUFFIXES,
)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")

# Restored recordings.
OUTPUT_FORMATS = ("wav", "flac", "ogg")
# Degraded recordings: a lossy format would degrade them further.
LOSSLESS_SUFFIXES = (".wav", ".flac")


def output_format(path, formats=OUTPUT_FORMATS):
    """Return soundfile's name of the format of a suffix.

    Arguments
    ---------
    path : str or Path
        The file to write.
    formats : collection of str
        Allowed formats, in lower case.

    Returns
    -------
    str
        In upper case.

    Raises
    ------
    UserError
        If the format is not allowed.

    Example
    -------
    >>> output_format("a.flac")
    'FLAC'
    """
    suffix = Path(path).suffix
    if suffix[1:].lower() not in formats:
        *others, last = (f".{name}" for name in OUTPUT_FORMATS)
        raise UserError(
            f"{path}: unknown audio format: {suffix or 'no suffix'}; "
            f"use {', '.join(others)} or {last}"
        )
    return suffix[1:].upper()
