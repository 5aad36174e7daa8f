"""Matching of recordings in several folders by name.

An evaluated file has up to three recordings, called sides: ``input``,
``restored`` and ``clean``.

Authors
 * The miipher2 authors 2026
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from miipher2.dataio.audio_files import list_audio
from miipher2.dataio.formats import RECORDING_SUFFIXES
from miipher2.dataio.tables import read_table
from miipher2.errors import UserError
from miipher2.evaluation.recognition import transcript
from miipher2.evaluation.scores import SIDES

MAX_LISTED = 5  # files named in a remark


class Folder:
    """The recordings of one side, looked up by the name of a restored file.

    Arguments
    ---------
    path : str or Path
        The folder.

    Raises
    ------
    UserError
        If the path is not a folder, or the folder contains no recordings.

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
        self.files = [
            file.path for file in list_audio(path, suffixes=RECORDING_SUFFIXES)
        ]
        if not self.files:
            raise UserError(f"{path}: contains no recordings")
        self.by_stem = defaultdict(list)
        for file in self.files:
            self.by_stem[_stem(file)].append(file)

    def find(self, restored: str) -> str | None:
        """Find the file that matches a restored file.

        Arguments
        ---------
        restored : str
            Relative path of the restored file. ``a.wav`` matches ``a.wav`` or
            ``a`` with another suffix. ``a.flac.wav`` matches ``a.flac``,
            because ``miipher2 restore`` writes ``a.flac.wav`` if the inputs
            include both ``a.flac`` and ``a.mp3``. A file of the same name takes
            precedence.

        Returns
        -------
        str
            Relative path of the matching file; None if no file matches.

        Raises
        ------
        UserError
            If several files match, and none takes precedence.
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


class Match(NamedTuple):
    """The recordings of one row of ``files.csv``.

    Arguments
    ---------
    file : str
        Path relative to the folder of the restored files. If there is no
        restored file, the relative path of another side.
    paths : dict
        Path by side; a side without a matching file is absent.
    condition : str
        The condition of the file; empty if it has none.
    """

    file: str
    paths: dict[str, str]
    condition: str = ""


class Recordings:
    """The recordings of all sides, matched by name.

    Arguments
    ---------
    folders : dict
        Folder by side; None for a side that is not evaluated. ``restored`` is
        required.
    conditions : str or Path
        CSV file with the columns ``ID`` (relative path or name of a restored
        file, without suffix) and ``condition``. None to use the top-level
        folders, if there are at least two and each recording is in one of them.

    Raises
    ------
    UserError
        If a folder or the CSV file cannot be used, if no recording in a folder
        matches a restored recording, if several recordings in a folder match
        the same file, or if a condition is named ``all``.
    """

    def __init__(
        self,
        folders: Mapping[str, str | Path | None],
        conditions: str | Path | None = None,
    ) -> None:
        self.folders = {
            side: Folder(folders[side])  # type: ignore[arg-type]
            for side in SIDES
            if folders.get(side) is not None
        }
        self.found = self._match()
        self.conditions = None
        if conditions is not None:
            self.conditions = read_texts(conditions, "condition")
            check_ids(self.conditions, conditions, self.found)
        tops = {file.partition("/")[0] for file in self.found}
        self.by_folder = len(tops) > 1 and all("/" in f for f in self.found)
        if any(self._condition(file) == "all" for file in self.found):
            raise UserError(
                "condition 'all': this name stands for all files; choose "
                "another name with --conditions CSV"
            )

    def _match(self) -> dict[str, dict[str, str]]:
        """Map each file to the relative paths of its sides."""
        restored = self.folders["restored"]
        found: dict[str, dict[str, str]] = {}

        def add(file: str, sides: Iterable[str]) -> None:
            paths = {side: self.folders[side].find(file) for side in sides}
            found[file] = {s: path for s, path in paths.items() if path}

        for file in restored.files:
            add(file, self.folders)
        others = [side for side in self.folders if side != "restored"]
        for side in others:
            if not any(side in paths for paths in found.values()):
                raise UserError(
                    f"{self.folders[side].path}: no file matches a file in "
                    f"{restored.path}; expected the same subfolders and names "
                    "in both folders"
                )
        for index, side in enumerate(others):
            matched = {paths.get(side) for paths in found.values()}
            for file in self.folders[side].files:
                if file not in matched:
                    add(file, others[index:])
        return dict(sorted(found.items()))

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Match]:
        """Yield the matches, sorted by path."""
        for file in self.found:
            yield self[file]

    def __contains__(self, file: str) -> bool:
        return file in self.found

    def __getitem__(self, file: str) -> Match:
        paths = {
            side: str(self.folders[side].path / path)
            for side, path in self.found[file].items()
        }
        return Match(file, paths, self._condition(file))

    def _condition(self, file: str) -> str:
        """Return the condition of a file; empty without one."""
        if self.conditions is not None:
            return transcript(self.conditions, file) or ""
        return file.partition("/")[0] if self.by_folder else ""

    def remarks(self) -> list[str]:
        """Return remarks on files that lack a side."""
        remarks: list[str] = []
        for side in self.folders:
            without = [
                f for f, paths in self.found.items() if side not in paths
            ]
            remarks += list_files(f"without {side}", without)
        return remarks


def list_files(remark: str, files: list[str]) -> list[str]:
    """Return a remark with the file count and the first few names.

    Arguments
    ---------
    remark : str
        A property of the files, for example ``silent``.
    files : list of str
        Paths of the files.

    Returns
    -------
    list of str
        One remark; an empty list if there are no files.

    Example
    -------
    >>> list_files("silent", ["a.wav", "b.wav"])
    ['2 silent: a.wav, b.wav']
    """
    if not files:
        return []
    more = len(files) - MAX_LISTED
    suffix = f" and {more} more" if more > 0 else ""
    return [f"{len(files)} {remark}: {', '.join(files[:MAX_LISTED])}{suffix}"]


def read_texts(path: str | Path, column: str) -> dict[str, str]:
    """Read the text of each ID from a CSV file.

    Arguments
    ---------
    path : str or Path
        CSV file in UTF-8, with an ``ID`` column and the column to read.
    column : str
        Name of the column to read, for example ``text`` or ``condition``.

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
    >>> read_texts(path, "text")
    {'noise/a': 'Hello there.'}
    """
    return {
        row["ID"]: row[column] or ""
        for _, row in read_table(path, ("ID", column))
    }


def check_ids(
    texts: Mapping[str, str], path: str | Path, files: Mapping[str, object]
) -> None:
    """Check that at least one ID belongs to a recording.

    Arguments
    ---------
    texts : dict
        Text by ID.
    path : str or Path
        The CSV file, for the error message.
    files : dict
        Dict whose keys are the files of the evaluation.

    Raises
    ------
    UserError
        If no ID belongs to a recording.
    """
    if all(transcript(texts, file) is None for file in files):
        raise UserError(
            f"{path}: no ID matches a recording; expected relative paths or "
            "names of recordings, without suffix"
        )
