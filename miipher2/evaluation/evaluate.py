"""Evaluation of folders of recordings: input, restored and clean.

Authors
 * The miipher2 authors 2026
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from miipher2.dataio.audio_files import list_audio
from miipher2.dataio.tables import read_table
from miipher2.errors import UserError
from miipher2.evaluation.metrics import load_metrics
from miipher2.evaluation.recognition import transcript
from miipher2.evaluation.report import Report, list_files
from miipher2.evaluation.scores import SIDES

# By restored file: the file of each side that belongs to it, or None.
Matches = Mapping[str, Mapping[str, str | None]]


class Folder:
    """The recordings of one side, looked up by the name of a restored file.

    Arguments
    ---------
    path : str or Path
        The folder.

    Raises
    ------
    UserError
        If it is not a folder, or contains no recordings.

    Example
    -------
    >>> path = getfixture("tmp_path")
    >>> for name in ("a.flac", "b.mp3", "b.ogg"):
    ...     (path / name).touch()
    >>> folder = Folder(path)
    >>> [folder.find(name) for name in ("a.wav", "b.ogg.wav", "c.wav")]
    ['a.flac', 'b.ogg', None]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.files = [file.path for file in list_audio(path)]
        if not self.files:
            raise UserError(f"{path}: contains no recordings")
        self.by_stem = defaultdict(list)
        for file in self.files:
            self.by_stem[_stem(file)].append(file)

    def find(self, restored: str) -> str | None:
        """Find the file that belongs to a restored one.

        Arguments
        ---------
        restored : str
            Relative path. ``a.wav`` belongs to ``a.wav`` or to ``a`` with
            another suffix. ``a.flac.wav``, the output of ``miipher2 restore``
            if there is an ``a.mp3``, too, belongs to ``a.flac``.

        Returns
        -------
        str
            Relative path; None if there is none.

        Raises
        ------
        UserError
            If several files match.
        """
        stem = _stem(restored)
        for path in (restored, stem):
            if path in self.by_stem.get(_stem(path), ()):
                return path
        found = self.by_stem.get(stem, [])
        if len(found) > 1:
            raise UserError(
                f"{restored}: matches {' and '.join(found)} in {self.path}; "
                "remove all but one of them"
            )
        return found[0] if found else None


def _stem(path: str) -> str:
    return path.rpartition(".")[0]


def evaluate(
    restored: str | Path,
    reference: str | Path | None = None,
    source: str | Path | None = None,
    recogniser: str | None = None,
    transcripts: str | Path | None = None,
) -> Report:
    """Measure restored recordings, and their input and reference.

    Files are matched by their relative paths without suffix, mixed to mono and
    resampled to 16 kHz.

    Arguments
    ---------
    restored : str or Path
        Folder of the restored recordings.
    reference : str or Path
        Folder of the clean recordings, for metrics with a reference.
    source : str or Path
        Folder of the recordings before restoration.
    recogniser : str
        Whisper model for the character error rate: a folder in CTranslate2
        format, or a model name of faster-whisper. None: no error rate.
    transcripts : str or Path
        CSV file with the columns ID (a restored file's relative path without
        suffix, or its name) and text. None to use the recogniser's output for
        the reference.

    Returns
    -------
    Report
        With one row per restored file.

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
    paths = dict(zip(SIDES, (source, restored, reference), strict=True))
    folders = {s: Folder(p) for s, p in paths.items() if p is not None}
    matches = {
        file: {side: folder.find(file) for side, folder in folders.items()}
        for file in folders["restored"].files
    }
    texts = _read_matching(transcripts, recogniser, restored, matches)
    unmatched = _unmatched(folders, matches)
    metrics, missing = load_metrics(recogniser, texts)
    report = Report(folders, metrics, missing + unmatched)
    for file, found in tqdm(matches.items(), unit="file", disable=None):
        report.add(
            file,
            {s: folders[s].path / path for s, path in found.items() if path},
        )
    return report


def _read_matching(
    path: str | Path | None,
    recogniser: str | None,
    restored: str | Path,
    matches: Matches,
) -> Mapping[str, str] | None:
    """Read the transcripts; at least one must belong to a restored file."""
    if path is None:
        return None
    if recogniser is None:
        raise UserError(f"{path}: transcripts need --recogniser, too")
    texts = read_transcripts(path)
    if not any(transcript(texts, file) for file in matches):
        raise UserError(
            f"{path}: no ID matches a file in {restored}; expected its "
            "relative path without suffix, or its name"
        )
    return texts


def _unmatched(folders: Mapping[str, Folder], matches: Matches) -> list[str]:
    """Return remarks on files without a counterpart on another side."""
    remarks: list[str] = []
    for side, folder in folders.items():
        matched = {found[side] for found in matches.values()}
        if matched == {None}:
            raise UserError(
                f"{folder.path}: no file matches one in "
                f"{folders['restored'].path}; expected the same subfolders and "
                "names in both"
            )
        without = [file for file in folder.files if file not in matched]
        remarks += list_files(f"of {side} without a restored one", without)
        without = [file for file, found in matches.items() if not found[side]]
        remarks += list_files(f"restored without {side}", without)
    return remarks


def read_transcripts(path: str | Path) -> Mapping[str, str]:
    """Read transcripts from a CSV file.

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
        If the file cannot be read or lacks a column.

    Example
    -------
    >>> path = getfixture("tmp_path") / "texts.csv"
    >>> _ = path.write_text("ID,text\\nnoise/a,Hello there.\\n")
    >>> read_transcripts(path)
    {'noise/a': 'Hello there.'}
    """
    return {
        row["ID"]: row["text"] or ""
        for _, row in read_table(path, ("ID", "text"))
    }
