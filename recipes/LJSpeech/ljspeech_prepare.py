"""Data preparation: LJ Speech, some chapters held out.

    LJSpeech-1.1/wavs/LJ001-0001.wav

Download: https://keithito.com/LJ-Speech-Dataset

    python ljspeech_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

from miipher2.dataio.audio_files import corpus_root, list_audio
from miipher2.dataio.prepare import prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import Utterance


def prepare_ljspeech(
    data_folder, train_csv, valid_csv, test_csv, skip_prep=False
):
    """Prepare the manifests of LJ Speech.

    Arguments
    ---------
    data_folder : str
        Folder that contains LJSpeech-1.1 or wavs; $data_root in the manifests.
    train_csv, valid_csv, test_csv : str
        Manifests to write.
    skip_prep : bool
        Whether to skip preparation.

    Raises
    ------
    UserError
        If the corpus is not found or has too few usable files.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> (folder / "wavs").mkdir()
    >>> for name in ("LJ001-0001", "LJ002-0001", "LJ003-0001"):
    ...     soundfile.write(folder / f"wavs/{name}.wav", [0.0] * 80, 8000)
    >>> csvs = [folder / f"{split}.csv" for split in ("train", "valid", "test")]
    >>> prepare_ljspeech(folder, *csvs)
    >>> [len(csv.read_text().splitlines()) for csv in csvs]
    [2, 2, 2]
    """
    if skip_prep:
        return
    root = corpus_root(data_folder, "LJSpeech-1.1")
    utterances = [
        # Hold out whole chapters, because consecutive sentences are similar.
        Utterance(file, spk_id="LJ", group=file.name.split("-")[0])
        for file in list_audio(data_folder, root / "wavs")
    ]
    prepare_manifests(
        data_folder,
        utterances,
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "wavs/LJ001-0001.wav",
    )


if __name__ == "__main__":
    command_line(prepare_ljspeech)
