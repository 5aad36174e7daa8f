"""Audio file formats: the suffixes that are read and written.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

from miipher2.errors import UserError

# Corpora for training, degradation and evaluation; all read by soundfile.
CORPUS_SUFFIXES = (
    *(".wav", ".wave", ".bwf", ".flac", ".ogg", ".oga", ".opus"),
    *(".mp3", ".mp2", ".mpa", ".aiff", ".aif", ".aifc", ".au", ".snd"),
    *(".caf", ".w64", ".rf64", ".sph", ".nist", ".voc"),
)

# Decoded by PyAV.
PYAV_SUFFIXES = (
    # audio
    *(".m4a", ".m4b", ".m4r", ".aac", ".adts", ".wma", ".amr", ".ac3"),
    *(".eac3", ".ec3", ".dts", ".mka", ".weba", ".wv", ".ape", ".tta"),
    *(".mpc", ".tak", ".spx", ".dsf", ".dss", ".qcp", ".gsm", ".ra"),
    # video
    *(".webm", ".mp4", ".m4v", ".f4v", ".mov", ".mkv", ".avi", ".3gp"),
    *(".3g2", ".flv", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob"),
    *(".asf", ".wmv", ".ogv", ".rm"),
)

# Recordings to restore.
RECORDING_SUFFIXES = (*CORPUS_SUFFIXES, *PYAV_SUFFIXES)
# Audio that neither library reads: encrypted, proprietary, or without header.
UNREADABLE_SUFFIXES = (
    *(".m4p", ".aax", ".ds2", ".msv", ".dvf", ".raw", ".pcm", ".vox"),
)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")

# Restored recordings.
OUTPUT_FORMATS = ("wav", "flac", "ogg")
# Degraded recordings: a lossy format would degrade them further.
LOSSLESS_SUFFIXES = (".wav", ".flac")


def has_suffix(name, suffixes):
    """Return whether a file name ends in one of the suffixes.

    Arguments
    ---------
    name : str or Path
        The name. Case, and spaces and dots at its end, do not matter.
    suffixes : tuple of str
        In lower case, with their dot.

    Returns
    -------
    bool

    Example
    -------
    >>> has_suffix("a.WAV", CORPUS_SUFFIXES), has_suffix("a.wav. ", (".wav",))
    (True, True)
    """
    return str(name).rstrip(" .").lower().endswith(suffixes)


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
