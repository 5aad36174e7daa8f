"""Audio file formats and their suffixes.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

from miipher2.errors import UserError

# Formats of corpora for training and degradation; soundfile reads all of them.
CORPUS_SUFFIXES = (
    *(".wav", ".wave", ".bwf", ".flac", ".ogg", ".oga", ".opus"),
    *(".mp3", ".mp2", ".mpa", ".aiff", ".aif", ".aifc", ".au", ".snd"),
    *(".caf", ".w64", ".rf64", ".sph", ".nist", ".voc"),
)

# Formats that PyAV decodes.
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

# Formats of recordings to restore and to evaluate.
RECORDING_SUFFIXES = (*CORPUS_SUFFIXES, *PYAV_SUFFIXES)
# Audio formats that neither library reads: encrypted, proprietary or without a
# header.
UNREADABLE_SUFFIXES = (
    *(".m4p", ".aax", ".ds2", ".msv", ".dvf", ".raw", ".pcm", ".vox"),
)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")

# Sample formats of restored recordings by file format, as named by soundfile.
OUTPUT_SUBTYPES = {
    "wav": ("PCM_16", "PCM_24", "FLOAT"),
    "flac": ("PCM_16", "PCM_24"),
    "ogg": ("VORBIS",),
}
OUTPUT_FORMATS = tuple(OUTPUT_SUBTYPES)
SUBTYPES = OUTPUT_SUBTYPES["wav"]
# Output sample formats for inputs of more than 16 bits, in order of preference.
# Otherwise, the first sample format of the output file format is used.
KEPT_SUBTYPES = {
    "PCM_24": ("PCM_24",),
    "PCM_32": ("PCM_24",),
    "FLOAT": ("FLOAT", "PCM_24"),
    "DOUBLE": ("FLOAT", "PCM_24"),
}
# Formats of degraded recordings; a lossy format would degrade them further.
LOSSLESS_SUFFIXES = (".wav", ".flac")


def has_suffix(name, suffixes):
    """Return whether a file name has one of the suffixes.

    Arguments
    ---------
    name : str or Path
        The file name. Case is ignored, as are spaces and dots at the end.
    suffixes : tuple of str
        Suffixes in lower case, with the dot.

    Returns
    -------
    bool
        Whether the name has one of the suffixes.

    Example
    -------
    >>> has_suffix("a.WAV", CORPUS_SUFFIXES), has_suffix("a.wav. ", (".wav",))
    (True, True)
    """
    return str(name).rstrip(" .").lower().endswith(suffixes)


def output_format(path, formats=OUTPUT_FORMATS):
    """Return soundfile's name for the format of an output file.

    Arguments
    ---------
    path : str or Path
        The file to write, whose suffix determines the format.
    formats : collection of str
        Allowed formats, in lower case.

    Returns
    -------
    str
        The name in upper case.

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
        raise UserError(
            f"{path}: unsupported output format: {suffix or 'no suffix'}; "
            f"use {_either(f'.{name}' for name in formats)}"
        )
    return suffix[1:].upper()


def output_subtype(file_format, subtype=None, source=""):
    """Return soundfile's name for the sample format of an output file.

    Arguments
    ---------
    file_format : str
        ``wav``, ``flac`` or ``ogg``, in upper or lower case.
    subtype : str
        One of ``SUBTYPES``. If None, an input of more than 16 bits keeps a high
        resolution if the file format supports it (see ``KEPT_SUBTYPES``);
        otherwise, the first of the format's ``OUTPUT_SUBTYPES`` is used.
    source : str
        Sample format of the input; empty if unknown.

    Returns
    -------
    str
        Name of the sample format, for example ``PCM_16``.

    Raises
    ------
    UserError
        If the file format does not support the sample format.

    Example
    -------
    >>> output_subtype("wav", source="PCM_24"), output_subtype("FLAC", "PCM_16")
    ('PCM_24', 'PCM_16')
    """
    allowed = OUTPUT_SUBTYPES[file_format.lower()]
    if subtype is None:
        kept = [s for s in KEPT_SUBTYPES.get(source, ()) if s in allowed]
        return (kept or allowed)[0]
    if subtype in allowed:
        return subtype
    choices = [name for name in allowed if name in SUBTYPES]
    raise UserError(
        f"subtype {subtype}: not supported by {file_format.lower()} files; "
        + (f"use {_either(choices)}" if choices else "omit the subtype")
        + f", or write {_either(_formats_with(subtype))} files"
    )


def _formats_with(subtype):
    return [
        name for name, allowed in OUTPUT_SUBTYPES.items() if subtype in allowed
    ]


def _either(names):
    """Join names for an error message: ``a, b or c``."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
