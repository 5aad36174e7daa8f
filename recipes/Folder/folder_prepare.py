"""Manifests of any tree of audio files.

The first folder level names the speaker. If the top folders are called
``train``, ``valid`` (``val``, ``dev``) and ``test``, these are the splits, and
the speaker is the next level.

    python folder_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

import logging

from miipher2.dataio.audio_files import first_folder, list_audio
from miipher2.dataio.prepare import prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import SPLIT_FOLDERS, Utterance
from miipher2.errors import UserError

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
    """Writes the manifests of a folder with speech.

    Arguments
    ---------
    data_folder : str
        Folder with audio files; $data_root in the manifests.
    train_csv, valid_csv, test_csv : str
        The manifests to write.
    skip_prep : bool
        Whether to do nothing.
    split_by : str
        What is held out: each "speaker" as a whole (with under 3 of them,
        files), or a "share" of the files whoever speaks.
    valid_share : float
        Share that is held out for validation.
    test_share : float
        Share that is held out for testing.
    min_seconds : float
        Files under this many seconds are left out.

    Raises
    ------
    UserError
        If there are fewer than 3 files, or an argument does not fit.

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
    if split_by not in ("speaker", "share"):
        raise UserError(
            f"split_by: expected 'speaker' or 'share', found {split_by!r}"
        )
    files = list_audio(data_folder)
    tops = {file.folders[0].lower() for file in files if file.folders}
    utterances = []
    for file in files:
        folders, split = file.folders, None
        if "train" in tops:
            split = SPLIT_FOLDERS.get(folders.pop(0).lower() if folders else "")
            if split is None:
                continue
        speaker = first_folder(data_folder, folders)
        group = speaker if split_by == "speaker" else None
        utterances.append(Utterance(file, speaker, group, split))
    if len(utterances) < len(files):
        logger.warning(
            "%d files outside train, valid and test are left out",
            len(files) - len(utterances),
        )
    prepare_manifests(
        data_folder,
        utterances,
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "audio files (.wav, .flac, .ogg, .opus, .mp3, .aiff) at any depth",
        valid_share,
        test_share,
        min_seconds,
    )


if __name__ == "__main__":
    command_line(prepare_folder)
