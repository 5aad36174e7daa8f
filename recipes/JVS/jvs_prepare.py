"""Data preparation: JVS, 100 Japanese speakers, some of them held out.

    jvs_ver1/jvs001/parallel100/wav24kHz16bit/VOICEACTRESS100_001.wav

Download:
https://sites.google.com/site/shinnosuketakamichi/research-topics/jvs_corpus

    python jvs_prepare.py DATA_FOLDER OUTPUT_FOLDER

Authors
 * The miipher2 authors 2026
"""

from miipher2.dataio.audio_files import corpus_root, list_audio
from miipher2.dataio.prepare import check_choices, prepare_manifests
from miipher2.dataio.prepare_cli import command_line
from miipher2.dataio.splits import Utterance

STYLES = ("parallel100", "nonpara30", "whisper10", "falset10")


def prepare_jvs(
    data_folder,
    train_csv,
    valid_csv,
    test_csv,
    skip_prep=False,
    styles=("parallel100", "nonpara30"),
):
    """Prepare the manifests of JVS.

    Arguments
    ---------
    data_folder : str
        Folder that contains jvs_ver1, or jvs001 to jvs100; $data_root in the
        manifests.
    train_csv, valid_csv, test_csv : str
        Manifests to write.
    skip_prep : bool
        Whether to skip preparation.
    styles : list of str
        Speaking styles: parallel100, nonpara30, whisper10, falset10.

    Raises
    ------
    UserError
        If the corpus is not found or a style is unknown.

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
    check_choices("styles", styles, STYLES)
    prepare_manifests(
        data_folder,
        list(_utterances(data_folder, styles)),
        {"train": train_csv, "valid": valid_csv, "test": test_csv},
        "jvs001/parallel100/wav24kHz16bit/VOICEACTRESS100_001.wav",
    )


def _utterances(data_folder, styles):
    root = corpus_root(data_folder, "jvs_ver1")
    for speaker in sorted(root.glob("jvs[0-9]*")):
        folders = [speaker / style / "wav24kHz16bit" for style in styles]
        for file in list_audio(data_folder, *folders):
            yield Utterance(file, spk_id=speaker.name, group=speaker.name)


if __name__ == "__main__":
    command_line(prepare_jvs)
