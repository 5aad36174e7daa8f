"""Manifests of FLEURS and FLEURS-R, with their own splits.

    en_us/audio/train/1234567890.wav   (or en_us/train/1234567890.wav)

The archives of https://huggingface.co/datasets/google/fleurs and
https://huggingface.co/datasets/google/fleurs-r have to be unpacked. The corpus
does not say who speaks: ``spk_id`` is the language.

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
    """Writes the manifests of FLEURS or FLEURS-R.

    Arguments
    ---------
    data_folder : str
        Folder with a folder for each language; $data_root in the manifests.
    train_csv, valid_csv, test_csv : str
        The manifests to write.
    skip_prep : bool
        Whether to do nothing.
    languages : list of str
        Languages to take, such as en_us; none: all that are there.

    Raises
    ------
    UserError
        If the corpus or one of the languages is not there.

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
    folders = [
        folder
        for pattern in ("*/audio/", "*/")
        for split in SPLITS
        for folder in sorted(root.glob(pattern + split))
    ]
    found = {folder.relative_to(root).parts[0] for folder in folders}
    missing = [name for name in languages if name not in found]
    if missing:
        raise UserError(
            f"{data_folder}: expected {', '.join(missing)}/audio/train and so "
            f"on, found {', '.join(sorted(found)) or contents(root)}"
        )
    utterances = []
    for folder in folders:
        language = folder.relative_to(root).parts[0]
        if not languages or language in languages:
            utterances += [
                Utterance(file, language, split=SPLITS[folder.name])
                for file in list_audio(root, folder)
            ]
    prepare_manifests(
        data_folder,
        utterances,
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "en_us/audio/train/NUMBER.wav and so on, unpacked",
    )


if __name__ == "__main__":
    command_line(prepare_fleurs)
