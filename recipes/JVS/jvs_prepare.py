"""Manifests of JVS, 100 Japanese speakers; some of them are held out.

    jvs_ver1/jvs001/parallel100/wav24kHz16bit/VOICEACTRESS100_001.wav

https://sites.google.com/site/shinnosuketakamichi/research-topics/jvs_corpus

    python jvs_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

from miipher2.dataio.audio_files import corpus_root, list_audio
from miipher2.dataio.prepare import prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import Utterance
from miipher2.errors import UserError

STYLES = ("parallel100", "nonpara30", "whisper10", "falset10")


def prepare_jvs(
    data_folder,
    train_csv,
    valid_csv,
    test_csv,
    skip_prep=False,
    styles=("parallel100", "nonpara30"),
):
    """Writes the manifests of JVS.

    Arguments
    ---------
    data_folder : str
        Folder with jvs001 and so on, or with jvs_ver1; $data_root in the
        manifests.
    train_csv, valid_csv, test_csv : str
        The manifests to write.
    skip_prep : bool
        Whether to do nothing.
    styles : list of str
        Some of parallel100, nonpara30, whisper10 and falset10.

    Raises
    ------
    UserError
        If the corpus is not there, or a style is not one of them.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for speaker in ("jvs001", "jvs002", "jvs003"):
    ...     wavs = folder / speaker / "parallel100" / "wav24kHz16bit"
    ...     wavs.mkdir(parents=True)
    ...     soundfile.write(wavs / "VOICEACTRESS100_001.wav", [0.0] * 80, 8000)
    >>> csvs = [folder / f"{split}.csv" for split in ("train", "valid", "test")]
    >>> prepare_jvs(folder, *csvs)
    >>> [len(csv.read_text().splitlines()) for csv in csvs]
    [2, 2, 2]
    """
    if skip_prep:
        return
    unknown = [style for style in styles if style not in STYLES]
    if unknown:
        raise UserError(
            f"styles: expected some of {', '.join(STYLES)}; "
            f"found {', '.join(unknown)}"
        )
    root = corpus_root(data_folder, "jvs_ver1")
    utterances = []
    for speaker in sorted(root.glob("jvs[0-9]*")):
        folders = [speaker / style / "wav24kHz16bit" for style in styles]
        utterances += [
            Utterance(file, spk_id=speaker.name, group=speaker.name)
            for file in list_audio(data_folder, *folders)
        ]
    prepare_manifests(
        data_folder,
        utterances,
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "jvs001/parallel100/wav24kHz16bit/VOICEACTRESS100_001.wav and so on",
    )


if __name__ == "__main__":
    command_line(prepare_jvs)
