"""Data preparation: manifests for corpora, noise and impulse responses.

Authors
 * The miipher2 authors 2026
"""

import logging
from collections import Counter
from pathlib import Path

from miipher2.dataio.audio_files import contents, first_folder, list_audio
from miipher2.dataio.digest import digest
from miipher2.dataio.headers import check_pair, read_headers
from miipher2.dataio.manifests import write_manifest
from miipher2.dataio.prep_cache import PrepCache
from miipher2.dataio.splits import SPLIT_FOLDERS, Utterance, assign_splits
from miipher2.dataio.wording import count, duration
from miipher2.errors import UserError

logger = logging.getLogger(__name__)


def check_choices(name, values, choices):
    """Check that all values of an option are allowed.

    Arguments
    ---------
    name : str
        Name of the option.
    values : iterable of str
        Values given by the user.
    choices : iterable of str
        Allowed values.

    Raises
    ------
    UserError
        If a value is not allowed.

    Example
    -------
    >>> check_choices("mic", ["mic1"], ["mic1", "mic2"])
    """
    unknown = [value for value in values if value not in choices]
    if unknown:
        raise UserError(
            f"{name}: expected one of {', '.join(choices)}; found "
            f"{', '.join(unknown)}"
        )


def prepare_manifests(
    data_folder,
    utterances,
    manifests,
    layout,
    valid_share=0.05,
    test_share=0.05,
    min_seconds=0.0,
    repeat_few=False,
    label="speaker",
):
    """Write the manifests of a corpus, unless they are up to date.

    A JSON file next to the training manifest (``train.stamp.json`` for
    ``train.csv``) records a hash of the file list, the fractions, the minimum
    duration and the hashes of the manifests. If nothing has changed, the
    manifests are kept, and no audio header is read.

    Arguments
    ---------
    data_folder : str or Path
        Folder of the corpus, ``$data_root`` in the manifests.
    utterances : list of Utterance
        All files of the corpus.
    manifests : dict
        Path of the CSV file by split; the first split is ``train``.
    layout : str
        Description of the expected files, for the error message.
    valid_share, test_share : float
        Fractions for validation and test if the corpus has no splits.
    min_seconds : float
        Minimum duration in seconds.
    repeat_few : bool
        Whether every split gets all files if there are too few to divide.
    label : str
        Noun for the values of ``spk_id``, used in log messages.

    Raises
    ------
    UserError
        If there are too few usable files, a fraction is invalid, or the two
        files of a pair do not match.
    """
    if not utterances:
        raise UserError(
            f"{data_folder}: expected {layout}; found {contents(data_folder)}"
        )
    shares = {"valid": valid_share, "test": test_share}
    shares = {name: shares[name] for name in manifests if name in shares}
    cache = _cache(
        utterances, manifests, {**shares, "min_seconds": min_seconds}
    )
    if cache.is_current():
        logger.info(
            "%s: nothing has changed; preparation skipped", manifests["train"]
        )
        for line in cache.notes.get("splits", ()):
            logger.info("%s", line)
        if cache.notes["left_out"]:
            logger.warning(
                "%s skipped; delete %s to try again",
                *(count(cache.notes["left_out"], "unusable file"), cache.path),
            )
        return
    rows, failed = _rows(data_folder, utterances, min_seconds)
    usable = [u for u in utterances if u.audio in rows]
    splits = assign_splits(usable, shares, repeat_few)
    lines = [
        _write_split(path, [rows[u.audio] for u in splits[name]], label)
        for name, path in manifests.items()
    ]
    cache.save(left_out=failed, splits=lines)


def _cache(utterances, manifests, arguments):
    source = {
        # Increment when the code writes different manifests for the same files.
        "format": 1,
        "arguments": arguments,
        "files": len(utterances),
        "listing": digest(repr(sorted(utterances))),
    }
    path = Path(manifests["train"]).with_suffix(".stamp.json")
    return PrepCache(path, source, manifests)


def _write_split(path, rows, label):
    """Write a manifest; log and return its summary."""
    write_manifest(path, rows)
    labels = len({row["spk_id"] for row in rows})
    seconds = sum(row["duration"] for row in rows)
    line = (
        f"{path}: {count(len(rows), 'file')}, {count(labels, label)}, "
        f"{duration(seconds)}"
    )
    logger.info("%s", line)
    return line


def _rows(data_folder, utterances, min_seconds):
    """Return manifest rows by file, and the number of unusable files."""
    files = [file for u in utterances for file in (u.audio, u.noisy) if file]
    headers, failed = read_headers(data_folder, files)
    if not headers:
        raise UserError(
            f"{data_folder}: no usable file among "
            f"{count(len(files), 'audio file')}; {failed[0][0]}: {failed[0][1]}"
        )
    ids = _ids(u.audio for u in utterances)
    rows, short = {}, 0
    for u in utterances:
        paths = [file.path for file in (u.audio, u.noisy) if file]
        if not all(path in headers for path in paths):
            continue
        if headers[u.audio.path].seconds < min_seconds:
            short += 1
            continue
        rows[u.audio] = _row(u, ids[u.audio], headers)
    if short:
        logger.info(
            "skipped %s shorter than %g s", count(short, "file"), min_seconds
        )
    if not rows:
        raise UserError(
            f"{data_folder}: no usable file among "
            f"{count(len(files), 'audio file')}: {len(failed)} skipped with "
            f"a warning, {short} shorter than {min_seconds:g} s"
        )
    return rows, len(failed)


def _row(utterance, ID, headers):
    clean, noisy = utterance.audio, utterance.noisy
    row = {
        "ID": ID,
        "duration": headers[clean.path].seconds,
        "wav": f"$data_root/{clean.path}",
        "spk_id": utterance.spk_id.strip().replace("$", "_"),
    }
    if noisy:
        check_pair(
            headers[clean.path], clean.path, headers[noisy.path], noisy.path
        )
        row["noisy_wav"] = f"$data_root/{noisy.path}"
    return row


def _ids(files):
    """Derive IDs from paths; append a hash if two IDs would be equal."""
    ids = {file: file.stem.replace("/", "-").strip() for file in files}
    times = Counter(ids.values())
    return {
        file: name if times[name] == 1 else f"{name}-{digest(file.path)[:8]}"
        for file, name in ids.items()
    }


def prepare_noise(
    data_folder, csv, valid_csv, valid_share=0.1, skip_prep=False
):
    """Write the manifests for all noise recordings below a folder.

    Files in folders named ``valid``, ``val``, ``dev`` or ``test``, at any
    depth, are held out; files in folders named ``train`` are not, unless all
    files are in such folders. A hash of the name holds out a fraction of the
    other files.

    Arguments
    ---------
    data_folder : str or Path
        Folder with noise, ``$data_root`` in the manifests.
    csv : str or Path
        Manifest for training.
    valid_csv : str or Path
        Manifest for validation.
    valid_share : float
        Fraction to hold out. If there is only one file, both manifests list it.
    skip_prep : bool
        Whether to skip preparation.

    Raises
    ------
    UserError
        If the folder is missing or contains no usable audio for training, or
        ``valid_share`` is invalid.

    Example
    -------
    >>> import soundfile
    >>> from miipher2.dataio.manifests import read_manifest
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
        splits = [SPLIT_FOLDERS.get(name.lower()) for name in file.folders]
        split = next((name for name in splits if name), None)
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
        label="folder",
    )


# Impulse responses are prepared in the same way.
prepare_rirs = prepare_noise
