"""CSV manifests, the lists of recordings for training and degradation.

A manifest has the columns ``ID,duration,wav,spk_id``. Optional columns are
``noisy_wav`` for pairs, ``target_wav`` if the target differs from ``wav``, and
``bandwidth``, the frequency in Hz above which a recording has no content.
Durations are in seconds. Paths can start with ``$data_root``, so that a corpus
can be moved without changing its manifests.

Authors
 * The miipher2 authors 2026
"""

import math
import re

from miipher2.dataio.tables import read_table, write_table
from miipher2.errors import UserError

COLUMNS = ("ID", "duration", "wav", "spk_id")
OTHER_WAVS = ("noisy_wav", "target_wav")
OPTIONAL_COLUMNS = (*OTHER_WAVS, "bandwidth")


def write_manifest(path, rows):
    """Write a manifest atomically, sorted by ID.

    Arguments
    ---------
    path : str or Path
        The CSV file; its folder is created if needed.
    rows : list of dict
        One row per recording, with all of ``COLUMNS`` and any of
        ``OPTIONAL_COLUMNS``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> row = {"ID": "a", "duration": 1.5, "wav": "$data_root/a.wav"}
    >>> write_manifest(path, [{**row, "spk_id": "anna"}])
    >>> print(path.read_text())
    ID,duration,wav,spk_id
    a,1.500000,$data_root/a.wav,anna
    """
    optional = [c for c in OPTIONAL_COLUMNS if any(c in row for row in rows)]
    write_table(
        path,
        [*COLUMNS, *optional],
        [
            {**row, "duration": f"{row['duration']:.6f}"}
            for row in sorted(rows, key=lambda row: row["ID"])
        ],
    )


def read_manifest(path, data_root, columns=("ID", "duration", "wav")):
    """Read a manifest in this package's or SpeechBrain's format.

    Arguments
    ---------
    path : str or Path
        The CSV file.
    data_root : str or Path
        Folder that replaces ``$data_root`` or any other variable at the start
        of a path, such as ``$noise_folder`` in SpeechBrain's manifests.
    columns : tuple of str
        Required columns.

    Returns
    -------
    list of dict
        Rows with all columns of the file; ``duration`` and ``bandwidth`` are
        floats.

    Raises
    ------
    UserError
        If the file or a column is missing, the file has no rows, an ID is not
        unique or a value is invalid.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> _ = path.write_text("ID,duration,wav\\na,1.5,$data_root/a.wav")
    >>> read_manifest(path, "/data")
    [{'ID': 'a', 'duration': 1.5, 'wav': '/data/a.wav'}]
    """
    rows, lines = [], {}
    for line, row in read_table(path, columns, skipinitialspace=True):
        location = f"{path}, line {line}"
        row["duration"] = _number(
            row["duration"], location, "a duration in seconds"
        )
        if "bandwidth" in row:
            row["bandwidth"] = _number(
                row["bandwidth"], location, "a bandwidth in Hz"
            )
        for name in ("ID", "wav", *OTHER_WAVS):
            if name in row and not row[name]:
                raise UserError(f"{location}: {name} is empty")
        if lines.setdefault(row["ID"], line) != line:
            raise UserError(
                f"{location}: the ID {row['ID']!r} is already used in line "
                f"{lines[row['ID']]}"
            )
        for name in ("wav", *OTHER_WAVS):
            variable = re.match(r"\$\w+(?=/)", row.get(name, ""))
            if variable:
                row[name] = str(data_root) + row[name][variable.end() :]
        rows.append(row)
    if not rows:
        raise UserError(f"{path}: expected at least one row, found none")
    return rows


def _number(text, location, expected):
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(
            f"{location}: expected {expected} above 0, found {text!r}"
        )
    return value
