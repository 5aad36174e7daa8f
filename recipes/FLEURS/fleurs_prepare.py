"""Data preparation: FLEURS and FLEURS-R, with the splits of the corpus.

    en_us/audio/train/1234567890.wav   (or en_us/train/1234567890.wav)

The corpus has no speaker labels: ``spk_id`` is the language.

Download https://huggingface.co/datasets/google/fleurs or
https://huggingface.co/datasets/google/fleurs-r and unpack the archives.

    python fleurs_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

from miipher2.dataio.audio_files import contents, corpus_root, list_audio
from miipher2.dataio.prepare import prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import Utterance
from miipher2.errors import UserError

SPLITS = {"train": "train", "dev": "valid", "test": "test"}


def prepare_fleurs(
    data_folder, train_csv, valid_csv, test_csv, skip_prep=False, languages=()
):
    """Prepare the manifests of FLEURS or FLEURS-R.

    Arguments
    ---------
    data_folder : str
        Folder with one folder per language; $data_root in the manifests.
    train_csv, valid_csv, test_csv : str
        Manifests to write.
    skip_prep : bool
        Whether to skip preparation.
    languages : list of str
        Languages to use, such as en_us. If empty, all languages in the folder.

    Raises
    ------
    UserError
        If the corpus or one of the languages is not found.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for split in ("train", "dev", "test"):
    ...     audio = folder / "ja_jp" / "audio" / split
    ...     audio.mkdir(parents=True)
    ...     soundfile.write(audio / "1.wav", [0.0] * 80, 8000)
    >>> csvs = [folder / f"{split}.csv" for split in ("train", "valid", "test")]
    >>> prepare_fleurs(folder, *csvs)
    >>> print(csvs[1].read_text().splitlines()[1].split(",")[0])
    ja_jp-audio-dev-1
    """
    if skip_prep:
        return
    root = corpus_root(data_folder)
    prepare_manifests(
        data_folder,
        [
            Utterance(file, language, split=SPLITS[folder.name])
            for language, folder in _split_folders(root, languages)
            for file in list_audio(root, folder)
        ],
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "en_us/audio/train/NUMBER.wav, unpacked",
        label="language",
    )


def _split_folders(root, languages):
    """Return ``(language, folder)`` for each split of the languages."""
    folders = [
        (folder.relative_to(root).parts[0], folder)
        for pattern in ("*/audio/", "*/")
        for split in SPLITS
        for folder in sorted(root.glob(pattern + split))
    ]
    found = {language for language, _ in folders}
    missing = [name for name in languages if name not in found]
    if missing:
        raise UserError(
            f"{root}: expected {', '.join(f'{n}/audio/train' for n in missing)}"
            f"; found {', '.join(sorted(found)) or contents(root)}"
        )
    return [pair for pair in folders if not languages or pair[0] in languages]


if __name__ == "__main__":
    command_line(prepare_fleurs)
