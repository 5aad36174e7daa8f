"""Opening regular files with soundfile, including unfinished files.

Authors
 * The miipher2 authors 2026
"""

import io
import os
import stat
import struct

import soundfile

from miipher2.errors import UserError

# Warning about an unfinished file; see ``SoundFile``
UNFINISHED = "its header gives no length; read to the end of the file"
FILE_TYPES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def irregular(status):
    """Return the type of a file that is not a regular file.

    Arguments
    ---------
    status : os.stat_result
        Result of ``os.stat``.

    Returns
    -------
    str
        The type, for example "a FIFO"; empty for a regular file.

    Example
    -------
    >>> irregular(os.stat(os.devnull))
    'a device'
    """
    mode = stat.S_IFMT(status.st_mode)
    if mode == stat.S_IFREG:
        return ""
    return FILE_TYPES.get(mode, "a special file")


def open_regular(path):
    """Open a regular file for reading in binary mode.

    A FIFO raises an error, because opening it could block forever.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    io.BufferedReader
        The open file.

    Raises
    ------
    UserError
        If the path is a folder, a FIFO, a device or a socket, or if the file is
        empty.
    OSError
        If the file cannot be opened.
    """
    status = os.stat(path)
    file_type = irregular(status)
    if file_type:
        raise UserError(f"{path}: expected a regular file, found {file_type}")
    if not status.st_size:
        raise UserError(f"{path}: an empty file (0 bytes)")
    return open(path, "rb")


class SoundFile(soundfile.SoundFile):
    """An audio file that is open for reading.

    A recorder that crashes can leave an unfinished wav or au file, whose header
    gives a length of 0. libsndfile reads no samples from such a file; this
    class reads it to its end and sets the ``unfinished`` attribute to True.

    Arguments
    ---------
    path : str or Path
        The file.

    Raises
    ------
    UserError
        If the path is not a regular file, the file is empty or its format has
        no header.
    OSError, soundfile.LibsndfileError
        If the file cannot be opened.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, [0.5, -0.5], 8000)
    >>> content = bytearray(path.read_bytes())
    >>> content[4:8] = content[40:44] = bytes(4)
    >>> _ = path.write_bytes(content)
    >>> with SoundFile(path) as file:
    ...     file.unfinished, file.read()
    (True, array([ 0.5, -0.5]))
    """

    def __init__(self, path):
        with open_regular(path) as file:
            patch = _length_patch(file)
        self.unfinished = patch is not None
        # Pass bytes, because file names may not be valid UTF-8.
        file = _Patched(path, *patch) if patch else os.fsencode(path)
        try:
            super().__init__(file)
        except TypeError:  # soundfile asks for the sample rate
            raise UserError(
                f"{path}: cannot be read as audio: its format has no header; "
                "convert it to .wav or .flac"
            ) from None


class _Patched(io.FileIO):
    """A file in which some bytes are replaced when they are read."""

    def __init__(self, path, position, patch):
        super().__init__(path)
        self.position = position
        self.patch = patch

    def readinto(self, buffer):
        start = self.tell()
        count = super().readinto(buffer)
        first = max(start, self.position)
        end = min(start + count, self.position + len(self.patch))
        if first < end:
            view = memoryview(buffer).cast("B")
            view[first - start : end - start] = self.patch[
                first - self.position : end - self.position
            ]
        return count


def _length_patch(file):
    """Return the position and the bytes that correct a length of 0, or None."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if head[:4] == b".snd" and head[8:] == bytes(4):
        start = struct.unpack(">I", head[4:8])[0]
        return (8, b"\xff\xff\xff\xff") if start < size else None
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        return None
    position, ds64 = 12, None
    while len(chunk := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", chunk)
        position += 8
        if name == b"data":
            break
        if name == b"ds64":
            ds64 = position, file.read(16)
        position += length + length % 2
        file.seek(position)
    else:
        return None
    remaining = size - position
    if ds64:
        return (
            (ds64[0] + 8, struct.pack("<Q", remaining))
            if remaining and ds64[1][8:] == bytes(8)
            else None
        )
    # If the RIFF chunk ends with the file, the header is complete and the
    # remaining bytes are other chunks.
    finished = 8 + struct.unpack("<I", head[4:8])[0] in (size, size + 1)
    if length or not remaining or finished:
        return None
    return position - 4, struct.pack("<I", min(remaining, 2**32 - 1))
