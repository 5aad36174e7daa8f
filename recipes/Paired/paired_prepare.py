"""Data preparation: pairs of noisy and clean speech.

    train/noisy/NAME.wav   val/noisy/NAME.wav   test/noisy/NAME.wav
    train/clean/NAME.wav   val/clean/NAME.wav   test/clean/NAME.wav

``val`` can also be called ``valid`` or ``dev``, and ``test`` is optional.
Without split folders, as in the output of ``miipher2 degrade --pairs``, the
pairs are split by speaker, or by file if there are too few speakers:

    noisy/NAME.wav   clean/NAME.wav

If ``noisy`` and ``clean`` have subfolders, each top-level subfolder is a
speaker. The two files of a pair can have different suffixes.

    python paired_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

from miipher2.dataio.audio_files import (
    contents,
    corpus_root,
    first_folder,
    list_audio,
)
from miipher2.dataio.prepare import prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import SPLIT_FOLDERS, Utterance
from miipher2.errors import UserError


def prepare_paired(
    data_folder, train_csv, valid_csv, test_csv, skip_prep=False
):
    """Prepare the manifests of a folder of pairs.

    Arguments
    ---------
    data_folder : str
        Folder that contains train/{noisy,clean} and val/{noisy,clean}, or noisy
        and clean; $data_root in the manifests.
    train_csv, valid_csv, test_csv : str
        Manifests to write.
    skip_prep : bool
        Whether to skip preparation.

    Raises
    ------
    UserError
        If the folders are not as described above, two files in a folder differ
        only in their suffixes, a file has no counterpart, or the two files of a
        pair differ in sample rate or number of channels, or by more than 50 ms
        in duration.

    Example
    -------
    >>> import soundfile
    >>> root = getfixture("tmp_path")
    >>> for split in ("train", "val"):
    ...     for side in ("noisy", "clean"):
    ...         (root / split / side).mkdir(parents=True)
    ...         soundfile.write(root / split / side / "a.wav", [0.0] * 80, 8000)
    >>> csvs = [root / f"{split}.csv" for split in ("train", "valid", "test")]
    >>> prepare_paired(root, *csvs)
    >>> print(csvs[0].read_text().splitlines()[1].split(",", 4)[4])
    $data_root/train/noisy/a.wav
    """
    if skip_prep:
        return
    root = corpus_root(data_folder)
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir()]
    splits = [f for f in folders if f.name.lower() in SPLIT_FOLDERS]
    sides = [f for f in folders if f.name in ("noisy", "clean")]
    if splits and sides:
        raise UserError(
            f"{data_folder}: expected either train and val, or noisy and "
            f"clean; found {contents(root)}"
        )
    utterances = []
    for folder in [root] if sides else splits:
        utterances += _pairs(root, folder)
    prepare_manifests(
        data_folder,
        utterances,
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "train/noisy, train/clean, val/noisy and val/clean, or noisy and "
        "clean, with audio files",
    )


def _pairs(root, folder):
    """Return the pairs in a split, or in the root folder."""
    clean = _files_by_stem(root, folder / "clean")
    noisy = _files_by_stem(root, folder / "noisy")
    single = [f"noisy/{name}" for name in sorted(noisy.keys() - clean.keys())]
    single += [f"clean/{name}" for name in sorted(clean.keys() - noisy.keys())]
    if single:
        raise UserError(
            f"{folder}: expected each name in both noisy and clean, found "
            f"{len(single)} without a counterpart: {', '.join(single[:5])}"
            f"{' ...' if len(single) > 5 else ''}; rename or remove them"
        )
    split = None if folder == root else SPLIT_FOLDERS[folder.name.lower()]
    utterances = []
    for name, audio in clean.items():
        speaker = first_folder(root, name.split("/")[:-1])
        utterances.append(
            Utterance(audio, speaker, speaker, split, noisy[name])
        )
    return utterances


def _files_by_stem(root, folder):
    """Return the files in a folder by relative path without suffix."""
    if not folder.is_dir():
        raise UserError(
            f"{folder.parent}: expected the folders noisy and clean, found "
            f"{contents(folder.parent)}"
        )
    files = {}
    for file in list_audio(root, folder):
        name = Path(root, file.stem).relative_to(folder).as_posix()
        if name in files:
            raise UserError(
                f"{root}: expected one file per name, ignoring suffixes; found "
                f"{file.path} and {files[name].path}; remove one of them"
            )
        files[name] = file
    return files


if __name__ == "__main__":
    command_line(prepare_paired)
