"""Manifests of noisy speech and the clean speech that belongs to it.

    train/noisy/NAME.wav   val/noisy/NAME.wav   test/noisy/NAME.wav
    train/clean/NAME.wav   val/clean/NAME.wav   test/clean/NAME.wav

``valid`` is as good as ``val``, and ``test`` may be absent. There may be
folders below ``noisy`` and ``clean``, the same in both; the first names the
speaker. The suffixes of the two files need not be the same.

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
    """Writes the manifests of a folder with pairs.

    Arguments
    ---------
    data_folder : str
        Folder with train/{noisy,clean} and val/{noisy,clean}; $data_root in
        the manifests.
    train_csv, valid_csv, test_csv : str
        The manifests to write.
    skip_prep : bool
        Whether to do nothing.

    Raises
    ------
    UserError
        If a file has no partner, or the two differ in rate, channels or
        duration.

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
    utterances = []
    for folder in sorted(root.iterdir()):
        if folder.name.lower() in SPLIT_FOLDERS and folder.is_dir():
            utterances += _pairs(root, folder)
    prepare_manifests(
        data_folder,
        utterances,
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "train/noisy, train/clean, val/noisy and val/clean with audio files",
    )


def _pairs(root, folder):
    sides = {side: _by_name(root, folder / side) for side in ("clean", "noisy")}
    clean, noisy = sides["clean"], sides["noisy"]
    alone = [f"noisy/{name}" for name in sorted(noisy.keys() - clean.keys())]
    alone += [f"clean/{name}" for name in sorted(clean.keys() - noisy.keys())]
    if alone:
        raise UserError(
            f"{folder}: expected each name in both noisy and clean, found "
            f"{len(alone)} without partner: {', '.join(alone[:5])}"
            f"{' ...' if len(alone) > 5 else ''}; give both sides the same "
            "names, or move the single files away"
        )
    split = SPLIT_FOLDERS[folder.name.lower()]
    for name, audio in clean.items():
        speaker = first_folder(root, name.split("/")[:-1])
        yield Utterance(audio, speaker, split=split, noisy=noisy[name])


def _by_name(root, side):
    """Files of one side by their path below it, without the suffix."""
    if not side.is_dir():
        raise UserError(
            f"{side.parent}: expected the folders noisy and clean, found "
            f"{contents(side.parent)}"
        )
    files = {}
    for file in list_audio(root, side):
        name = Path(root, file.stem).relative_to(side).as_posix()
        if name in files:
            raise UserError(
                f"{root}: expected one file of a name, found {file.path} and "
                f"{files[name].path}; move one of them away"
            )
        files[name] = file
    return files


if __name__ == "__main__":
    command_line(prepare_paired)
