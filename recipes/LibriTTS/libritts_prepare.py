"""Data preparation: LibriTTS and LibriTTS-R, with the splits of the corpus.

    LibriTTS_R/train-clean-100/SPEAKER/CHAPTER/UTTERANCE.wav

Download: https://www.openslr.org/60 and https://www.openslr.org/141

    python libritts_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

from miipher2.dataio.audio_files import corpus_root, list_audio
from miipher2.dataio.prepare import check_choices, prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import Utterance

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
    """Prepare the manifests of LibriTTS or LibriTTS-R.

    Arguments
    ---------
    data_folder : str
        Folder that contains LibriTTS, LibriTTS_R or the subsets; $data_root in
        the manifests.
    train_csv, valid_csv, test_csv : str
        Manifests to write.
    skip_prep : bool
        Whether to skip preparation.
    subsets : list of str
        Subsets to use; missing subsets are skipped.

    Raises
    ------
    UserError
        If no subset is found or the name of a subset is unknown.

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
    check_choices("subsets", subsets, SUBSETS)
    prepare_manifests(
        data_folder,
        list(_utterances(data_folder, subsets)),
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "train-clean-100/SPEAKER/CHAPTER/UTTERANCE.wav",
    )


def _utterances(data_folder, subsets):
    root = corpus_root(data_folder, "LibriTTS", "LibriTTS_R")
    for subset in subsets:
        for file in list_audio(data_folder, root / subset):
            if file.folders[-3:-2] == [subset]:
                speaker = file.folders[-2]
                yield Utterance(file, speaker, speaker, SUBSETS[subset])


if __name__ == "__main__":
    command_line(prepare_libritts)
