#!/usr/bin/env python3
"""Pack speech, noise and room impulse responses into tar archives.

    python recipes/Compact/pack.py DATA OUT

DATA contains ``manifest.csv`` (path, seconds, speaker, split, licence), clean
speech in ``speech*``, noise in ``noise`` and room impulse responses in ``rir``.
The script writes ``piece_0.tar``, ``piece_1.tar``, ... to OUT. Unpack them into
one folder, and use it as ``--data_folder``, ``--noise_folder`` and
``--rir_folder`` in training; it contains all manifests. The same data and
library versions give the same bytes.

Speech and noise are encoded as mono Ogg Opus at 16 kHz; mono Opus files and
impulse responses are copied.

Authors
 * The miipher2 authors 2026
"""

import argparse
import csv
import fnmatch
import io
import operator
import re
import tarfile
import zlib
from collections import defaultdict
from pathlib import Path

import soundfile
from tqdm import tqdm

from miipher2.dataio.audio import read_audio
from miipher2.dataio.manifests import COLUMNS
from miipher2.dataio.tables import read_table
from miipher2.dataio.wording import count, duration
from miipher2.errors import UserError, one_line_errors

RATE = 16000
# Below 54 kbit/s, libopus uses its speech mode, which attenuates speech by 1 dB
# at 4 kHz and by 3 dB at 8 kHz. At 56 kbit/s, speech is not attenuated, and its
# log-spectral distance is 1.1 dB, compared with 1.3 dB at 40 kbit/s.
KBPS = 56
# Settings of ``repetitions``
SEGMENT_SECONDS = 3.0
FEW_SECONDS = 90.0  # speakers with less speech get twice as many rows
LONG_SECONDS = 8.0  # minimum length of a long noise recording
REQUIRED = ("path", "seconds", "speaker", "split", "licence")
MANIFESTS = {
    ("speech", "train"): ["train"],
    ("speech", "valid"): ["valid", "test"],
    ("noise", "train"): ["noise"],
    ("noise", "valid"): ["noise_valid"],
    ("rir", "train"): ["rir"],
    ("rir", "valid"): ["rir_valid"],
}
# Ogg's checksum has the polynomial of zlib's CRC-32, but the opposite bit order
BIT_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def is_allowed(licence, patterns=None):
    """Return whether files with a licence are allowed in a pack.

    Arguments
    ---------
    licence : str
        Licence from the manifest.
    patterns : list of str
        Permitted licences; ``*`` matches any text. If None, all licences are
        permitted, except the GPL without an alternative.

    Returns
    -------
    bool
        True if the licence is permitted.

    Example
    -------
    >>> is_allowed("GPL-2+ or CC BY-SA 2.0"), is_allowed("GPL-2 or GPL-3")
    (True, False)
    >>> is_allowed("CC BY 4.0", ["CC0*"])
    False
    """
    if patterns is None:
        choices = re.split(r" or |, ", licence)
        return not all(choice.startswith("GPL") for choice in choices)
    return any(fnmatch.fnmatchcase(licence, pattern) for pattern in patterns)


def select(data, patterns=None):
    """Select the manifest rows with a permitted licence.

    The duration of the excluded files is printed by licence.

    Arguments
    ---------
    data : Path
        Folder with ``manifest.csv``.
    patterns : list of str
        See ``is_allowed``.

    Returns
    -------
    dict
        Rows by ``(kind, split)``; a kind is ``"speech"``, ``"noise"`` or
        ``"rir"``.
    """
    selected, excluded = defaultdict(list), defaultdict(float)
    rows = [row for _, row in read_table(data / "manifest.csv", REQUIRED)]
    rows.sort(key=operator.itemgetter("path"))
    for row in rows:
        kind = re.match("speech|noise|rir|", row["path"])[0]
        if (kind, row["split"]) not in MANIFESTS:
            continue
        if is_allowed(row["licence"], patterns):
            selected[kind, row["split"]].append(row)
        else:
            excluded[kind, row["licence"]] += float(row["seconds"])
    for (kind, licence), seconds in sorted(excluded.items()):
        print(f"excluded: {kind}, {licence}: {duration(seconds)}")
    for kind, split in MANIFESTS:
        if not selected[kind, split]:
            raise UserError(
                f"{data}/manifest.csv: no {kind} for {split} with a "
                "permitted licence"
            )
    return selected


def is_music(path):
    """Return whether the name of a noise file starts with ``music_``."""
    return path.rpartition("/")[2].startswith("music_")


def packed_path(path):
    """Return the path that a file of DATA has in the archives."""
    return path if path.startswith("rir") else path.rsplit(".", 1)[0] + ".ogg"


def packed_bytes(data, path):
    """Return the content that a file of DATA has in the archives."""
    content = (data / path).read_bytes()
    if path.startswith("rir"):
        return content
    samples = read_audio(data / path, RATE).numpy()  # also checks copied files
    info = soundfile.info(io.BytesIO(content))
    if info.subtype == "OPUS" and info.channels == 1:
        return content
    ogg = io.BytesIO()
    level = (256 - KBPS) / 250  # 0: 256 kbit/s, 1: 6 kbit/s
    soundfile.write(ogg, samples, RATE, "OPUS", None, "OGG", True, level)
    return with_serial(ogg.getvalue(), zlib.crc32(path.encode()))


def with_serial(ogg, serial):
    """Replace the random stream serial number of an Ogg file.

    Arguments
    ---------
    ogg : bytes
        Content of the file.
    serial : int
        The new number, 0 to 2**32 - 1.

    Returns
    -------
    bytes
        The file with the new number and new checksums of all pages.
    """
    ogg, start = bytearray(ogg), 0
    while start < len(ogg):
        lacing = ogg[start + 27 : start + 27 + ogg[start + 26]]
        end = start + 27 + len(lacing) + sum(lacing)
        ogg[start + 14 : start + 18] = serial.to_bytes(4, "little")
        ogg[start + 22 : start + 26] = bytes(4)
        page = ogg[start:end].translate(BIT_REVERSED)
        crc = zlib.crc32(page, 0xFFFFFFFF) ^ 0xFFFFFFFF
        crc = int(f"{crc:032b}"[::-1], 2)
        ogg[start + 22 : start + 26] = crc.to_bytes(4, "little")
        start = end
    return bytes(ogg)


def repetitions(key, rows):
    """Return the number of manifest rows for each recording.

    An epoch uses one random segment per row. Training speech has one row per
    3 s, or two for speakers with little speech, to balance the speakers. Long
    recordings of training noise, except music, have three rows because short
    ones are more numerous.

    Arguments
    ---------
    key : tuple of str
        Kind and split.
    rows : list of dict
        The recordings.

    Returns
    -------
    list of int
        Number of rows for each recording.

    Example
    -------
    >>> rows = [{"path": "a", "speaker": "a", "seconds": "9.0"}]
    >>> repetitions(("speech", "train"), rows)
    [6]
    >>> repetitions(("speech", "valid"), rows)
    [1]
    """
    if key == ("noise", "train"):
        return [
            3
            if float(row["seconds"]) >= LONG_SECONDS
            and not is_music(row["path"])
            else 1
            for row in rows
        ]
    if key != ("speech", "train"):
        return [1] * len(rows)
    seconds = defaultdict(float)
    for row in rows:
        seconds[row["speaker"]] += float(row["seconds"])
    return [
        max(1, round(float(row["seconds"]) / SEGMENT_SECONDS))
        * (2 if seconds[row["speaker"]] < FEW_SECONDS else 1)
        for row in rows
    ]


def manifests(selected):
    """Yield the name and the content of every manifest."""
    for key, names in MANIFESTS.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        counts = repetitions(key, selected[key])
        for row, copies in zip(selected[key], counts, strict=True):
            wav = packed_path(row["path"])
            name = wav.rsplit(".", 1)[0].replace("/", "-")
            columns = (
                row["seconds"],
                f"$data_root/{wav}",
                row["speaker"] or "x",
            )
            writer.writerow([name, *columns])
            for number in range(1, copies):
                writer.writerow([f"{name}-again{number}", *columns])
        for name in names:
            yield f"{name}.csv", text.getvalue().encode()


def member(name, content):
    """Return the bytes of a tar member, without owner and time."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    padding = bytes(-len(content) % tarfile.BLOCKSIZE)
    return info.tobuf(tarfile.GNU_FORMAT) + content + padding


def pieces(head, files, limit):
    """Yield tar archives of limited size, with ``head`` in every archive.

    Arguments
    ---------
    head : iterable of tuple
        Name and content of the files to put into every archive.
    files : iterable of tuple
        Name and content of the files to distribute.
    limit : int
        Maximum size of an archive in bytes.
    """
    head = b"".join(member(*file) for file in head)
    piece, end = bytearray(head), bytes(2 * tarfile.BLOCKSIZE)
    for name, content in files:
        added = member(name, content)
        if len(piece) + len(added) + len(end) > limit:
            if len(piece) == len(head):
                raise UserError(
                    f"{name}: does not fit into an archive; increase "
                    "--piece-megabytes"
                )
            yield piece + end
            piece = bytearray(head)
        piece += added
    yield piece + end


def main(argv=None):
    """Write the archives."""
    parser = argparse.ArgumentParser(
        description="Pack speech, noise and room impulse responses into tar "
        "archives of Ogg Opus."
    )
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    parser.add_argument("out", type=Path, help="output folder")
    parser.add_argument(
        "--piece-megabytes",
        type=float,
        default=55.0,
        help="maximum size of an archive in MB",
    )
    parser.add_argument(
        "--licences",
        nargs="+",
        metavar="LICENCE",
        help="permitted licences as in the manifest, for example 'CC0*' "
        "(default: all, except the GPL without an alternative)",
    )
    options = parser.parse_args(argv)
    with one_line_errors():
        selected = select(options.data, options.licences)
        for (kind, split), rows in selected.items():
            seconds = sum(float(row["seconds"]) for row in rows)
            files = count(len(rows), "file")
            print(f"{kind} {split}: {files}, {duration(seconds)}")
        options.out.mkdir(parents=True, exist_ok=True)
        for old in options.out.glob("piece_*.tar"):
            old.unlink()
        limit = int(1e6 * options.piece_megabytes)
        paths = [row["path"] for key in MANIFESTS for row in selected[key]]
        with tqdm(paths, unit="file", disable=None) as bar:
            files = (
                (packed_path(path), packed_bytes(options.data, path))
                for path in bar
            )
            head = manifests(selected)
            for number, piece in enumerate(pieces(head, files, limit)):
                path = options.out / f"piece_{number}.tar"
                path.write_bytes(piece)
                bar.write(f"{path}: {len(piece) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
