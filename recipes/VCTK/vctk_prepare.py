"""Data preparation: VCTK, some speakers held out.

    wav48_silence_trimmed/p225/p225_001_mic1.flac   (version 0.92)
    wav48/p225/p225_001.wav                         (earlier versions)

Download: https://datashare.ed.ac.uk/handle/10283/3443

    python vctk_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

from miipher2.dataio.audio_files import corpus_root, list_audio
from miipher2.dataio.prepare import check_choices, prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import Utterance


def prepare_vctk(
    data_folder, train_csv, valid_csv, test_csv, skip_prep=False, mic="mic1"
):
    """Prepare the manifests of VCTK.

    Arguments
    ---------
    data_folder : str
        Folder that contains VCTK-Corpus-0.92, VCTK-Corpus,
        wav48_silence_trimmed or wav48; $data_root in the manifests.
    train_csv, valid_csv, test_csv : str
        Manifests to write.
    skip_prep : bool
        Whether to skip preparation.
    mic : str
        Microphone of version 0.92: mic1 or mic2. If a file is missing, such as
        mic2 of p280 and p315, the file of the other microphone is used.

    Raises
    ------
    UserError
        If the corpus is not found or the microphone is unknown.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for speaker in ("p225", "p226", "p227"):
    ...     (folder / "wav48" / speaker).mkdir(parents=True)
    ...     path = folder / "wav48" / speaker / f"{speaker}_001.wav"
    ...     soundfile.write(path, [0.0] * 80, 8000)
    >>> csvs = [folder / f"{split}.csv" for split in ("train", "valid", "test")]
    >>> prepare_vctk(folder, *csvs)
    >>> [len(csv.read_text().splitlines()) for csv in csvs]
    [2, 2, 2]
    """
    if skip_prep:
        return
    check_choices("mic", [mic], ("mic1", "mic2"))
    prepare_manifests(
        data_folder,
        [
            Utterance(file, spk_id=file.folders[-1], group=file.folders[-1])
            for file in _files(data_folder, mic)
        ],
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "wav48_silence_trimmed/p225/p225_001_mic1.flac or "
        "wav48/p225/p225_001.wav",
    )


def _files(data_folder, mic):
    """Return one file per utterance, from ``mic`` if possible."""
    root = corpus_root(data_folder, "VCTK-Corpus-0.92", "VCTK-Corpus")
    audio = corpus_root(root, "wav48_silence_trimmed")
    if audio == root:
        audio = root / "wav48"
    files = {}
    for file in list_audio(data_folder, audio):
        utterance = file.stem.removesuffix("_mic1").removesuffix("_mic2")
        if utterance not in files or file.name.endswith(mic):
            files[utterance] = file
    return files.values()


if __name__ == "__main__":
    command_line(prepare_vctk)
