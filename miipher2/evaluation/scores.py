"""The scores of restored files: the rows of ``files.csv``.

A row belongs to a restored file. A side is ``input``, ``restored`` or ``clean``;
``files.csv`` has the sides that were given. A cell is empty where there is
nothing to measure. These are the columns, in their order:

==================== ======================================================
``file``             restored file, relative to its folder
``condition``        group of the file, for means by condition; may be empty
``status``           ``done``; ``silent``: nothing to measure; ``failed``: the
                     restored file cannot be read, or is silent where another
                     side is not; ``missing``: there is no restored file
``seconds``          duration of the restored file; empty if it is not ``done``
``{side}_path``      each file, as the user gave its folder
``{side}_delay_ms``  delay relative to the clean side; not for ``clean``
``{side}_sig``,      DNSMOS P.835
``_bak``, ``_ovrl``
``{side}_p808``      DNSMOS P.808
``{side}_pesq_wb``   PESQ-WB; like all scores with a reference not for
                     the side that is the reference
``{side}_estoi``     ESTOI
``{side}_sisdr``     SI-SDR in dB
``{side}_lsd``       log-spectral distance in dB
``{side}_mcd``       mel-cepstral distortion in dB
``{side}_speaker``   speaker similarity: cosine
``{side}_wer``,      word error rate in percent, and its substitutions,
``_wer_sub``,        insertions and deletions, which add up to it
``_wer_ins``,
``_wer_del``
``{side}_cer``, ...  the same for characters
``{side}_loop``      1 if the recogniser repeated one phrase to the end,
                     which is then counted once; else 0
``{side}_per``       phoneme error rate in percent
``version``          of the files, metrics and settings; a row with another
                     one is measured again
``notes``            what is missing, undefined or unusual, and why
==================== ======================================================

Authors
 * The miipher2 authors 2026
"""

import math
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from miipher2.dataio.tables import read_table

SIDES = ("input", "restored", "clean")
TEXT_COLUMNS = (
    "file",
    "condition",
    "status",
    *(f"{side}_path" for side in SIDES),
    "version",
    "notes",
)

ERRORS = "surrogateescape"  # file names need not be valid UTF-8

Row = dict[str, float | str]


def read_rows(path: str | Path) -> Iterator[Row]:
    """Read ``files.csv`` row by row.

    Arguments
    ---------
    path : str or Path
        The file.

    Yields
    ------
    dict
        By column: text of the columns in ``TEXT_COLUMNS``, numbers of all
        others. Empty numbers are left out.

    Raises
    ------
    UserError
        If the file cannot be read or is not a table of scores.

    Example
    -------
    >>> path = getfixture("tmp_path") / "files.csv"
    >>> _ = path.write_text("file,input_lsd,restored_lsd,notes\\na.wav,,2.5,\\n")
    >>> list(read_rows(path))
    [{'file': 'a.wav', 'restored_lsd': 2.5, 'notes': ''}]
    """
    for _, cells in read_table(path, ("file", "notes"), errors=ERRORS):
        row: Row = {}
        for name, text in cells.items():
            if name in TEXT_COLUMNS:
                row[name] = text or ""
            elif text:
                row[name] = float(text)
        yield row


class Scores:
    """The numbers of ``files.csv`` as one array per column.

    Arguments
    ---------
    path : str or Path
        The file.

    Attributes
    ----------
    files : list of str
        The column ``file``.
    conditions : list of str
        The column ``condition``; empty texts if there is none.

    Raises
    ------
    UserError
        If the file cannot be read or is not a table of scores.

    Example
    -------
    >>> path = getfixture("tmp_path") / "files.csv"
    >>> _ = path.write_text("file,restored_lsd,notes\\na.wav,2.5,\\nb.wav,,\\n")
    >>> scores = Scores(path)
    >>> scores["restored_lsd"], scores["input_lsd"]
    (array([2.5, nan]), array([nan, nan]))
    >>> scores.sides("lsd")
    ['restored']
    """

    def __init__(self, path: str | Path) -> None:
        self.files: list[str] = []
        self.conditions: list[str] = []
        columns: dict[str, array] = {}
        for row in read_rows(path):
            count = len(self.files)
            self.files.append(str(row["file"]))
            self.conditions.append(str(row.get("condition", "")))
            for name, value in row.items():
                if name not in TEXT_COLUMNS:
                    column = columns.setdefault(name, array("d"))
                    column.extend([math.nan] * (count - len(column)))
                    column.append(float(value))
        for column in columns.values():
            column.extend([math.nan] * (len(self.files) - len(column)))
        self.columns = {n: np.frombuffer(c) for n, c in columns.items()}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, column: str) -> np.ndarray:
        if column not in self.columns:
            return np.full(len(self), math.nan)
        return self.columns[column]

    def sides(self, metric: str) -> list[str]:
        """Return the sides that have scores of a metric.

        Arguments
        ---------
        metric : str
            Such as ``lsd``.

        Returns
        -------
        list of str
            In the order of ``SIDES``.
        """
        return [side for side in SIDES if f"{side}_{metric}" in self.columns]

    def groups(self) -> dict[str, np.ndarray]:
        """Return which files belong to each condition.

        Returns
        -------
        dict
            Boolean array ``(files,)`` by condition, sorted, followed by
            ``all``. Only ``all`` if there are no conditions.
        """
        names = np.array(self.conditions, dtype=object)
        found = {name: names == name for name in sorted(set(names) - {""})}
        return {**found, "all": np.ones(len(self), bool)}
