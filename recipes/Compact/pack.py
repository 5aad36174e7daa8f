#!/usr/bin/env python3
"""Packs speech, noise and rooms to train on a machine without network.

    python recipes/Compact/pack.py DATA OUT

DATA has a ``manifest.csv`` (path, seconds, speaker, split, licence), clean
speech below ``speech*``, noise below ``noise`` and impulse responses below
``rir``. OUT gets ``piece_0.tar``, ``piece_1.tar``, ...: unpacked into one
folder, they are what ``--data_folder``, ``--noise_folder`` and ``--rir_folder``
ask for, with the manifests. The same data and libraries give the same bytes.

Speech and noise become mono Ogg Opus at 16 kHz; what is Opus already and all
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
from miipher2.errors import UserError, one_line_errors

RATE = 16000
# Below 54 kbit/s libopus takes its codec for telephony, which makes speech
# duller: -1 dB at 4 kHz and -3 dB at 8 kHz (log-spectral distance at 40 kbit/s
# 1.3 dB, at 56 1.1 dB without that slope).
KBPS = 56
# What ``times`` goes by
SEGMENT_SECONDS, LITTLE_SECONDS, LASTING_SECONDS = 3.0, 90.0, 8.0
NEEDED = ("path", "seconds", "speaker", "split", "licence")
MANIFESTS = {
    ("speech", "train"): ["train"],
    ("speech", "valid"): ["valid", "test"],
    ("noise", "train"): ["noise"],
    ("noise", "valid"): ["noise_valid"],
    ("rir", "train"): ["rir"],
    ("rir", "valid"): ["rir_valid"],
}
# Ogg's checksum is that of zlib with the bits of every byte reversed.
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def is_allowed(licence, patterns=None):
    """Whether a model may be trained on a file.

    Arguments
    ---------
    licence : str
        As the manifest says.
    patterns : list of str
        Those allowed, ``*`` for any text; None: all but the GPL alone.

    Returns
    -------
    bool
        Whether the file goes into the pack.

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


def choose(data, patterns=None):
    """Reads the manifest; says what is left out.

    Arguments
    ---------
    data : Path
        Folder with ``manifest.csv``.
    patterns : list of str
        See ``is_allowed``.

    Returns
    -------
    dict
        (kind, split) -> rows, kind being speech, noise or rir.
    """
    chosen, left_out = defaultdict(list), defaultdict(float)
    rows = [row for _, row in read_table(data / "manifest.csv", NEEDED)]
    rows.sort(key=operator.itemgetter("path"))
    for row in rows:
        kind = re.match("speech|noise|rir|", row["path"])[0]
        if (kind, row["split"]) not in MANIFESTS:
            continue
        if is_allowed(row["licence"], patterns):
            chosen[kind, row["split"]].append(row)
        else:
            left_out[kind, row["licence"]] += float(row["seconds"])
    for (kind, licence), seconds in sorted(left_out.items()):
        print(f"left out: {kind}, {licence}: {seconds / 3600:.2f} h")
    for kind, split in MANIFESTS:
        if not chosen[kind, split]:
            raise UserError(
                f"{data}/manifest.csv: no {kind} for {split} with a licence "
                "that is allowed (see --licences)"
            )
    return chosen


def packed_path(path):
    """Where a file of DATA lies in the pack."""
    return path if path.startswith("rir") else path.rsplit(".", 1)[0] + ".ogg"


def packed_bytes(data, path):
    """A file of DATA as it goes into the pack."""
    content = (data / path).read_bytes()
    if path.startswith("rir"):
        return content
    samples = read_audio(data / path, RATE).numpy()  # says if it cannot
    info = soundfile.info(io.BytesIO(content))
    if info.subtype == "OPUS" and info.channels == 1:
        return content
    ogg = io.BytesIO()
    level = (256 - KBPS) / 250  # 0 is 256 kbit/s, 1 is 6
    soundfile.write(ogg, samples, RATE, "OPUS", None, "OGG", True, level)
    return with_serial(ogg.getvalue(), zlib.crc32(path.encode()))


def with_serial(ogg, serial):
    """Gives an Ogg file another stream number: libsndfile's is a random one.

    Arguments
    ---------
    ogg : bytes
        The file.
    serial : int
        From 0 to 2**32 - 1.

    Returns
    -------
    bytes
        The file with this number, and new checksums, on every page.
    """
    ogg, start = bytearray(ogg), 0
    while start < len(ogg):
        lacing = ogg[start + 27 : start + 27 + ogg[start + 26]]
        end = start + 27 + len(lacing) + sum(lacing)
        ogg[start + 14 : start + 18] = serial.to_bytes(4, "little")
        ogg[start + 22 : start + 26] = bytes(4)
        page = ogg[start:end].translate(REVERSED)
        crc = zlib.crc32(page, 0xFFFFFFFF) ^ 0xFFFFFFFF
        crc = int(f"{crc:032b}"[::-1], 2)
        ogg[start + 22 : start + 26] = crc.to_bytes(4, "little")
        start = end
    return bytes(ogg)


def times(key, rows):
    """How often each recording comes in an epoch.

    Only a segment of it is heard at a time, so speech to train on comes once
    for each 3 s, and twice as often where a speaker has said little: many
    voices teach more than much of one. Noise that lasts comes as often as
    short noises, of which there are more.

    Arguments
    ---------
    key : tuple of str
        Kind and split.
    rows : list of dict
        Their recordings.

    Returns
    -------
    list of int
        One for each row.

    Example
    -------
    >>> rows = [{"path": "a", "speaker": "a", "seconds": "9.0"}]
    >>> times(("speech", "train"), rows), times(("speech", "valid"), rows)
    ([6], [1])
    """
    if key == ("noise", "train"):
        return [
            3
            if float(row["seconds"]) >= LASTING_SECONDS
            and not row["path"].rpartition("/")[2].startswith("music_")
            else 1
            for row in rows
        ]
    if key != ("speech", "train"):
        return [1] * len(rows)
    said = defaultdict(float)
    for row in rows:
        said[row["speaker"]] += float(row["seconds"])
    return [
        max(1, round(float(row["seconds"]) / SEGMENT_SECONDS))
        * (2 if said[row["speaker"]] < LITTLE_SECONDS else 1)
        for row in rows
    ]


def manifests(chosen):
    """Yields name and content of every manifest."""
    for key, names in MANIFESTS.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        often = times(key, chosen[key])
        for row, count in zip(chosen[key], often, strict=True):
            wav = packed_path(row["path"])
            name = wav.rsplit(".", 1)[0].replace("/", "-")
            place = row["seconds"], f"$data_root/{wav}", row["speaker"] or "x"
            writer.writerow([name, *place])
            for number in range(1, count):
                writer.writerow([f"{name}-again{number}", *place])
        for name in names:
            yield f"{name}.csv", text.getvalue().encode()


def member(name, content):
    """A file as it stands in a tar, without owner and time."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    padding = bytes(-len(content) % tarfile.BLOCKSIZE)
    return info.tobuf(tarfile.GNU_FORMAT) + content + padding


def pieces(head, files, limit):
    """Yields tars that begin alike and share the files out among them.

    Arguments
    ---------
    head : iterable of tuple
        Name and content of what every tar holds.
    files : iterable of tuple
        Name and content of what one of them holds.
    limit : int
        Bytes in a tar at most.
    """
    head = b"".join(member(*file) for file in head)
    piece, end = bytearray(head), bytes(2 * tarfile.BLOCKSIZE)
    for name, content in files:
        added = member(name, content)
        if len(piece) + len(added) + len(end) > limit:
            if len(piece) == len(head):
                raise UserError(
                    f"{name}: does not fit into a piece; give more "
                    "--piece-megabytes"
                )
            yield piece + end
            piece = bytearray(head)
        piece += added
    yield piece + end


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Packs speech, noise and rooms into tars of Ogg Opus."
    )
    parser.add_argument("data", type=Path, help="with manifest.csv")
    parser.add_argument("out", type=Path, help="where piece_0.tar and so on go")
    parser.add_argument("--piece-megabytes", type=float, default=55.0)
    parser.add_argument(
        "--licences",
        nargs="+",
        metavar="LICENCE",
        help="those allowed, as the manifest calls them, e.g. 'CC0*' "
        "(default: all but the GPL alone)",
    )
    options = parser.parse_args(argv)
    with one_line_errors():
        chosen = choose(options.data, options.licences)
        for (kind, split), rows in chosen.items():
            hours = sum(float(row["seconds"]) for row in rows) / 3600
            print(f"{kind} {split}: {len(rows)} files, {hours:.2f} h")
        options.out.mkdir(parents=True, exist_ok=True)
        for old in options.out.glob("piece_*.tar"):
            old.unlink()
        limit = int(1e6 * options.piece_megabytes)
        paths = [row["path"] for key in MANIFESTS for row in chosen[key]]
        with tqdm(paths, unit="file", disable=None) as bar:
            files = (
                (packed_path(path), packed_bytes(options.data, path))
                for path in bar
            )
            head = manifests(chosen)
            for number, piece in enumerate(pieces(head, files, limit)):
                path = options.out / f"piece_{number}.tar"
                path.write_bytes(piece)
                bar.write(f"{path}: {len(piece) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
