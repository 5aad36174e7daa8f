"""The CSV manifests: reading, writing, and making them from a corpus.

A manifest has the columns ``ID,duration,wav,spk_id``, for pairs ``noisy_wav``,
and ``target_wav`` where that is what is to be given back of ``wav``. Durations
are in seconds; paths start with ``$data_root``, so that a manifest stays valid
when its corpus is moved.

Authors
 * The miipher2 authors 2026
"""

import csv
import io
import logging
import math
import re
from collections import Counter
from pathlib import Path

from miipher2.dataio.atomic import write_text
from miipher2.dataio.audio_files import (
    check_pair,
    contents,
    first_folder,
    list_audio,
    read_headers,
)
from miipher2.dataio.digest import digest
from miipher2.dataio.prep_cache import Stamp
from miipher2.dataio.splits import SPLIT_FOLDERS, Utterance, assign_splits
from miipher2.errors import UserError

logger = logging.getLogger(__name__)

COLUMNS = ("ID", "duration", "wav", "spk_id")
OTHER_SIDES = ("noisy_wav", "target_wav")


def write_manifest(path, rows):
    """Writes a manifest, whole or not at all.

    Arguments
    ---------
    path : str or Path
        The CSV file; its folder is made if need be.
    rows : list of dict
        One for each line, with all of ``COLUMNS`` and perhaps some of
        ``OTHER_SIDES``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> row = {"ID": "a", "duration": 1.5, "wav": "$data_root/a.wav"}
    >>> write_manifest(path, [{**row, "spk_id": "anna"}])
    >>> print(path.read_text())
    ID,duration,wav,spk_id
    a,1.500000,$data_root/a.wav,anna
    """
    rows = sorted(rows, key=lambda row: row["ID"])
    sides = [name for name in OTHER_SIDES if any(name in row for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *sides], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "duration": f"{row['duration']:.6f}"})
    write_text(path, text.getvalue())


def read_manifest(path, data_root, columns=("ID", "duration", "wav")):
    """Reads a manifest; SpeechBrain's own do as well.

    Arguments
    ---------
    path : str or Path
        The CSV file.
    data_root : str or Path
        What ``$data_root`` stands for. Any other name after the ``$`` means
        the same: SpeechBrain's samples call it ``$noise_folder`` and so on.
    columns : tuple of str
        Columns that must be there.

    Returns
    -------
    list of dict
        Rows with all their columns; ``duration`` is a float.

    Raises
    ------
    UserError
        If the file or a column is missing, there are no rows, an ID comes
        twice or a value cannot be used.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> _ = path.write_text("ID,duration,wav\\na,1.5,$data_root/a.wav")
    >>> read_manifest(path, "/data")
    [{'ID': 'a', 'duration': 1.5, 'wav': '/data/a.wav'}]
    """
    try:
        # utf-8-sig: spreadsheet programs put a mark at the start.
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror}; expected a manifest "
            "with the columns " + ",".join(columns)
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected UTF-8 text") from None
    reader = csv.DictReader(
        io.StringIO(text, newline=""), skipinitialspace=True
    )
    found = reader.fieldnames or []
    missing = [name for name in columns if name not in found]
    if missing:
        raise UserError(
            f"{path}: expected the columns {','.join(columns)}, found "
            f"{','.join(found) or 'none'}; {','.join(missing)} missing"
        )
    rows, lines = [], {}
    for row in reader:
        place = f"{path}, line {reader.line_num}"
        row["duration"] = _duration(row["duration"], place)
        for name in ("ID", "wav", *OTHER_SIDES):
            if name in found and not row[name]:
                raise UserError(f"{place}: {name} is empty")
        if lines.setdefault(row["ID"], reader.line_num) != reader.line_num:
            raise UserError(
                f"{place}: ID {row['ID']} was in line {lines[row['ID']]} "
                "before; expected each ID once"
            )
        for name in ("wav", *OTHER_SIDES):
            if name in found:
                root = re.match(r"\$\w+(?=/)", row[name])
                if root:
                    row[name] = str(data_root) + row[name][root.end() :]
        rows.append(row)
    if not rows:
        raise UserError(f"{path}: expected at least one row, found none")
    return rows


def _duration(text, place):
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError(
            f"{place}: expected a duration in seconds above 0, found {text!r}"
        )
    return seconds


def prepare_manifests(
    data_folder,
    utterances,
    manifests,
    layout,
    valid_share=0.05,
    test_share=0.05,
    min_seconds=0.0,
    repeat_few=False,
):
    """Writes the manifests of a corpus, unless they are there already.

    Beside the first manifest a stamp is kept (``train.stamp.json``). While it
    fits the listed files, the arguments and the manifests, no header is read.

    Arguments
    ---------
    data_folder : str or Path
        What ``$data_root`` stands for.
    utterances : list of Utterance
        What the corpus holds.
    manifests : dict
        Path of the CSV file of each split, ``train`` first.
    layout : str
        What the corpus was expected to look like, for the error message.
    valid_share, test_share : float
        How much is held out where the corpus has no splits of its own.
    min_seconds : float
        Shorter files are left out.
    repeat_few : bool
        Whether too few files all go to every split; else it is an error.

    Raises
    ------
    UserError
        If nothing is left to write, or pairs do not fit together.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in "abc":
    ...     soundfile.write(folder / f"{name}.wav", [0.0] * 4000, 8000)
    >>> utterances = [Utterance(file, "anna") for file in list_audio(folder)]
    >>> manifests = {s: folder / f"{s}.csv" for s in ("train", "valid", "test")}
    >>> prepare_manifests(folder, utterances, manifests, "*.wav")
    >>> len(read_manifest(folder / "train.csv", folder))
    1
    """
    if not utterances:
        raise UserError(
            f"{data_folder}: expected {layout}; found {contents(data_folder)}"
        )
    shares = {"valid": valid_share, "test": test_share}
    shares = {name: shares[name] for name in manifests if name != "train"}
    source = {
        # Counts up when the same files are to give other manifests.
        "format": 1,
        "arguments": {**shares, "min_seconds": min_seconds},
        "files": len(utterances),
        "listing": digest(repr(sorted(utterances))),
    }
    stamp = Stamp(
        Path(manifests["train"]).with_suffix(".stamp.json"), source, manifests
    )
    if stamp.fits():
        logger.info("%s: nothing has changed, skipped", manifests["train"])
        if stamp.notes["left_out"]:
            logger.warning(
                "%d files were left out; remove %s to try them again",
                stamp.notes["left_out"],
                stamp.path,
            )
        return
    rows, left_out = _rows(data_folder, utterances, min_seconds)
    kept = [u for u in utterances if u.audio in rows]
    splits = assign_splits(kept, shares, repeat_few)
    for name, path in manifests.items():
        members = [rows[u.audio] for u in splits[name]]
        write_manifest(path, members)
        logger.info(
            "%s: %d files, %d speakers, %.2f h",
            path,
            len(members),
            len({row["spk_id"] for row in members}),
            sum(row["duration"] for row in members) / 3600,
        )
    stamp.write(left_out=left_out)


def _rows(data_folder, utterances, min_seconds):
    """Row by file, and how many files were left out."""
    pairs = [(u.audio, u.noisy) for u in utterances]
    files = [file for pair in pairs for file in pair if file]
    headers, failed = read_headers(data_folder, files)
    if not headers:
        raise UserError(
            f"{data_folder}: none of {len(files)} audio files can be used; "
            f"{failed[0][0]}: {failed[0][1]}"
        )
    ids = _ids(u.audio for u in utterances)
    rows, short = {}, 0
    for u in utterances:
        if any(
            file and file.path not in headers for file in (u.audio, u.noisy)
        ):
            continue
        seconds = headers[u.audio.path].seconds
        if seconds < min_seconds:
            short += 1
            continue
        rows[u.audio] = {
            "ID": ids[u.audio],
            "duration": seconds,
            "wav": f"$data_root/{u.audio.path}",
            "spk_id": u.spk_id.strip().replace("$", "_"),
        }
        if u.noisy:
            check_pair(
                headers[u.audio.path],
                u.audio.path,
                headers[u.noisy.path],
                u.noisy.path,
            )
            rows[u.audio]["noisy_wav"] = f"$data_root/{u.noisy.path}"
    if short:
        logger.info("%d files under %g s left out", short, min_seconds)
    if not rows:
        raise UserError(
            f"{data_folder}: nothing is left of {len(files)} audio files: "
            f"{len(failed)} cannot be used, {short} are under {min_seconds:g} s"
        )
    return rows, len(failed)


def _ids(files):
    """IDs say where a file lies; a hash is added where two would be alike."""
    ids = {file: file.stem.replace("/", "-").strip() for file in files}
    times = Counter(ids.values())
    return {
        file: name if times[name] == 1 else f"{name}-{digest(file.path)[:8]}"
        for file, name in ids.items()
    }


def prepare_noise(
    data_folder, csv, valid_csv, valid_share=0.1, skip_prep=False
):
    """Writes manifests of all the noise below a folder.

    Folders named ``train``, ``valid`` (``val``, ``dev``, ``test``), at any
    depth, decide what is held out; without them a share is.

    Arguments
    ---------
    data_folder : str or Path
        Folder with noise; ``$data_root`` in the manifests.
    csv : str or Path
        Manifest for training.
    valid_csv : str or Path
        Manifest of what is held out.
    valid_share : float
        Share to hold out. A single file goes to both manifests.
    skip_prep : bool
        Whether to do nothing.

    Raises
    ------
    UserError
        If the folder is missing or holds no audio that can be used.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in "abcd":
    ...     soundfile.write(folder / f"{name}.wav", [0.0] * 4000, 8000)
    >>> prepare_noise(folder, folder / "noise.csv", folder / "valid.csv")
    >>> len(read_manifest(folder / "noise.csv", folder))
    3
    """
    if skip_prep:
        return
    utterances = []
    for file in list_audio(data_folder):
        named = [SPLIT_FOLDERS.get(name.lower()) for name in file.folders]
        split = next((name for name in named if name), None)
        utterances.append(
            Utterance(
                file,
                spk_id=first_folder(data_folder, file.folders),
                split="valid" if split == "test" else split,
            )
        )
    prepare_manifests(
        data_folder,
        utterances,
        {"train": csv, "valid": valid_csv},
        "audio files at any depth",
        valid_share=valid_share,
        repeat_few=True,
    )


# Impulse responses are listed in the same way.
prepare_rirs = prepare_noise
