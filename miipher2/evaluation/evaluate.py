"""Evaluating folders of recordings: input, restored and clean side by side.

Authors
 * The miipher2 authors 2026
"""

import csv
from collections import defaultdict
from pathlib import Path

from tqdm import tqdm

from miipher2.dataio.audio_files import list_audio
from miipher2.errors import UserError
from miipher2.evaluation.metrics import load_metrics
from miipher2.evaluation.recognition import transcript
from miipher2.evaluation.report import SIDES, Report, named


class Folder:
    """Recordings of one side, found by the name of a restored one.

    Arguments
    ---------
    path : str or Path
        The folder.

    Raises
    ------
    UserError
        If it is no folder, or holds no recordings.

    Example
    -------
    >>> path = getfixture("tmp_path")
    >>> for name in ("a.flac", "b.mp3", "b.ogg"):
    ...     (path / name).touch()
    >>> folder = Folder(path)
    >>> [folder.find(name) for name in ("a.wav", "b.ogg.wav", "c.wav")]
    ['a.flac', 'b.ogg', None]
    """

    def __init__(self, path):
        self.path = Path(path)
        self.files = [file.path for file in list_audio(path)]
        if not self.files:
            raise UserError(f"{path}: no recordings there")
        self.by_stem = defaultdict(list)
        for file in self.files:
            self.by_stem[_stem(file)].append(file)

    def find(self, restored):
        """Finds the file that a restored one belongs to.

        Arguments
        ---------
        restored : str
            Relative path. ``a.wav`` belongs to ``a.wav`` or to another ``a``;
            ``a.flac.wav``, as ``miipher2 restore`` names it where there is an
            ``a.mp3`` beside it, to ``a.flac``.

        Returns
        -------
        str
            Relative path; None if there is none.

        Raises
        ------
        UserError
            If it could be several.
        """
        stem = _stem(restored)
        for same in (restored, stem):
            if same in self.by_stem.get(_stem(same), ()):
                return same
        found = self.by_stem.get(stem, [None])
        if len(found) > 1:
            raise UserError(
                f"{restored}: could belong to {' or '.join(found)} in "
                f"{self.path}; leave one of them there"
            )
        return found[0]


def _stem(path):
    return path.rpartition(".")[0]


def evaluate(
    restored, reference=None, source=None, recogniser=None, transcripts=None
):
    """Measures restored recordings and what they belong to.

    Files belong together by their paths relative to the folders, without
    suffix. All are mixed to mono and resampled to 16 kHz.

    Arguments
    ---------
    restored : str or Path
        Folder of the recordings to judge.
    reference : str or Path
        Folder of the clean recordings, for the metrics that compare.
    source : str or Path
        Folder of what was restored, measured in the same way.
    recogniser : str
        Whisper for the character error rate: a folder in CTranslate2 form or
        a name that faster-whisper knows; None: no such rate.
    transcripts : str or Path
        CSV with the columns ID,text: ID is a restored file's relative path
        without suffix, or its name alone. None: what the recogniser hears in
        the reference is taken for true.

    Returns
    -------
    Report
        One row a restored file.

    Raises
    ------
    UserError
        If a folder, the transcripts or the recogniser cannot be used.

    Example
    -------
    >>> report = evaluate("restored", "clean", "noisy")  # doctest: +SKIP
    >>> print(report.summary())  # doctest: +SKIP
    >>> report.write("report")  # doctest: +SKIP
    """
    given = dict(zip(SIDES, (source, restored, reference), strict=True))
    folders = {s: Folder(given[s]) for s in SIDES if given[s] is not None}
    found = {
        file: {side: folder.find(file) for side, folder in folders.items()}
        for file in folders["restored"].files
    }
    texts = None
    if transcripts is not None:
        if recogniser is None:
            raise UserError(f"{transcripts}: needs --recogniser beside it")
        texts = read_transcripts(transcripts)
    remarks = []
    for side, folder in folders.items():
        known = {files[side] for files in found.values()}
        if known == {None}:
            raise UserError(
                f"{folder.path}: nothing there belongs to a file in "
                f"{restored}; expected the same folders and names in both"
            )
        lone = [file for file in folder.files if file not in known]
        remarks += named(f"of {side} without a restored one", lone)
        lone = [file for file, files in found.items() if not files[side]]
        remarks += named(f"restored without {side}", lone)
    if texts and not any(transcript(texts, file) for file in found):
        raise UserError(
            f"{transcripts}: no ID there belongs to a file in {restored}; "
            "expected its relative path without suffix, or its name alone"
        )
    metrics, missing = load_metrics(recogniser, texts)
    report = Report(folders, metrics, missing + remarks)
    for file, files in tqdm(found.items(), unit="file", disable=None):
        report.add(
            file,
            {
                side: folders[side].path / path
                for side, path in files.items()
                if path
            },
        )
    return report


def read_transcripts(path):
    """Reads texts from a CSV file.

    Arguments
    ---------
    path : str or Path
        UTF-8, with the columns ID and text.

    Returns
    -------
    dict
        Text by ID.

    Raises
    ------
    UserError
        If it cannot be read, or lacks a column.

    Example
    -------
    >>> path = getfixture("tmp_path") / "texts.csv"
    >>> _ = path.write_text("ID,text\\nnoise/a,Hello there.\\n")
    >>> read_transcripts(path)
    {'noise/a': 'Hello there.'}
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return {
                row["ID"]: row["text"] or "" for row in csv.DictReader(file)
            }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except KeyError as error:
        raise UserError(
            f"{path}: has no column {error}; expected ID,text"
        ) from None
