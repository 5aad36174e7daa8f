"""Manifests of LibriTTS and LibriTTS-R, with their own splits.

    LibriTTS_R/train-clean-100/SPEAKER/CHAPTER/UTTERANCE.wav

https://www.openslr.org/60 and https://www.openslr.org/141

    python libritts_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

from miipher2.dataio.audio_files import corpus_root, list_audio
from miipher2.dataio.prepare import prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import Utterance
from miipher2.errors import UserError

SUBSETS = {
    "train-clean-100": "train",
    "train-clean-360": "train",
    "train-other-500": "train",
    "dev-clean": "valid",
    "dev-other": "valid",
    "test-clean": "test",
    "test-other": "test",
}


def prepare_libritts(
    data_folder,
    train_csv,
    valid_csv,
    test_csv,
    skip_prep=False,
    subsets=tuple(SUBSETS),
):
    """Writes the manifests of LibriTTS or LibriTTS-R.

    Arguments
    ---------
    data_folder : str
        Folder with the subsets, or with LibriTTS or LibriTTS_R; $data_root in
        the manifests.
    train_csv, valid_csv, test_csv : str
        The manifests to write.
    skip_prep : bool
        Whether to do nothing.
    subsets : list of str
        The subsets to take; those that are not there are passed over.

    Raises
    ------
    UserError
        If none of the subsets is there, or a name is not one of them.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for subset in ("train-clean-100", "dev-clean", "test-clean"):
    ...     chapter = folder / "LibriTTS_R" / subset / "19" / "198"
    ...     chapter.mkdir(parents=True)
    ...     soundfile.write(chapter / "19_198_0_0.wav", [0.0] * 80, 8000)
    >>> csvs = [folder / f"{split}.csv" for split in ("train", "valid", "test")]
    >>> prepare_libritts(folder, *csvs)
    >>> print(csvs[2].read_text().splitlines()[1].split(",")[0])
    LibriTTS_R-test-clean-19-198-19_198_0_0
    """
    if skip_prep:
        return
    unknown = [name for name in subsets if name not in SUBSETS]
    if unknown:
        raise UserError(
            f"subsets: expected some of {', '.join(SUBSETS)}; "
            f"found {', '.join(unknown)}"
        )
    root = corpus_root(data_folder, "LibriTTS", "LibriTTS_R")
    utterances = []
    for subset in subsets:
        for file in list_audio(data_folder, root / subset):
            if file.folders[-3:-2] == [subset]:
                speaker, split = file.folders[-2], SUBSETS[subset]
                utterances.append(Utterance(file, speaker, speaker, split))
    prepare_manifests(
        data_folder,
        utterances,
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "train-clean-100/SPEAKER/CHAPTER/UTTERANCE.wav and so on",
    )


if __name__ == "__main__":
    command_line(prepare_libritts)
