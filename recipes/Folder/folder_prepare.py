"""Data preparation: any folder of audio files.

Each top-level folder is a speaker. If one of them is called ``train``, the
folders ``train``, ``valid`` (or ``val``, ``dev``) and ``test`` are the splits
instead, and each folder inside them is a speaker.

    python folder_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

import logging

from miipher2.dataio.audio_files import first_folder, list_audio
from miipher2.dataio.formats import CORPUS_SUFFIXES
from miipher2.dataio.prepare import check_choices, prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import SPLIT_FOLDERS, Utterance

logger = logging.getLogger(__name__)


def prepare_folder(
    data_folder,
    train_csv,
    valid_csv,
    test_csv,
    skip_prep=False,
    split_by="speaker",
    valid_share=0.05,
    test_share=0.05,
    min_seconds=0.0,
):
    """Prepare the manifests of a folder of speech.

    Arguments
    ---------
    data_folder : str
        Folder with audio files; $data_root in the manifests.
    train_csv, valid_csv, test_csv : str
        Manifests to write.
    skip_prep : bool
        Whether to skip preparation.
    split_by : str
        "speaker": hold out all files of some speakers, or single files if there
        are too few speakers; "share": hold out a fraction of all files.
    valid_share : float
        Fraction of the speakers or files in the validation split.
    test_share : float
        Fraction of the speakers or files in the test split.
    min_seconds : float
        Minimum duration in seconds; shorter files are skipped.

    Raises
    ------
    UserError
        If there are too few files to split or an argument is invalid.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in ("anna", "bo", "cy"):
    ...     (folder / name).mkdir()
    ...     soundfile.write(folder / name / "1.wav", [0.0] * 4000, 8000)
    >>> csvs = [folder / f"{split}.csv" for split in ("train", "valid", "test")]
    >>> prepare_folder(folder, *csvs)
    >>> [len(csv.read_text().splitlines()) for csv in csvs]
    [2, 2, 2]
    """
    if skip_prep:
        return
    check_choices("split_by", [split_by], ("speaker", "share"))
    prepare_manifests(
        data_folder,
        _utterances(data_folder, split_by),
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        f"audio files ({', '.join(CORPUS_SUFFIXES)}) at any depth",
        valid_share,
        test_share,
        min_seconds,
    )


def _utterances(data_folder, split_by):
    files = list_audio(data_folder)
    top_folders = {file.folders[0].lower() for file in files if file.folders}
    utterances = []
    for file in files:
        folders, split = file.folders, None
        if "train" in top_folders:
            split = SPLIT_FOLDERS.get(folders.pop(0).lower() if folders else "")
            if split is None:
                continue
        speaker = first_folder(data_folder, folders)
        group = speaker if split_by == "speaker" else None
        utterances.append(Utterance(file, speaker, group, split))
    if len(utterances) < len(files):
        logger.warning(
            "%d files outside train, valid and test are skipped",
            len(files) - len(utterances),
        )
    return utterances


if __name__ == "__main__":
    command_line(prepare_folder)
