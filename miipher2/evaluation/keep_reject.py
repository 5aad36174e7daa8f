"""The decisions of a gate as manifests, ``keep.csv`` and ``reject.csv``.

Both files have the columns of a training manifest and the scores that the gate
needs. In the paths, ``$data_root`` stands for the folder of the restored
recordings. ``reject.csv`` also has the reasons for rejection.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from miipher2.dataio.atomic import atomic_write
from miipher2.dataio.audio_files import AudioFile, first_folder
from miipher2.dataio.manifests import COLUMNS
from miipher2.dataio.wording import count
from miipher2.evaluation.gate import Gate
from miipher2.evaluation.scores import ERRORS, read_rows

KEEP, REJECT = "keep.csv", "reject.csv"


def apply_gate(gate: Gate, report: str | Path, restored: str | Path) -> str:
    """Apply a gate to ``files.csv``; write ``keep.csv`` and ``reject.csv``.

    Arguments
    ---------
    gate : Gate
        The thresholds.
    report : str or Path
        Output folder of ``miipher2 evaluate``, where the files are written.
    restored : str or Path
        Folder of the restored recordings.

    Returns
    -------
    str
        The summary; see ``write_keep_reject``.
    """

    def rows() -> Iterator[dict[str, Any]]:
        for row in read_rows(Path(report, "files.csv")):
            if row.get("status") == "missing" and row.get("input_path"):
                yield {**row, "wav": os.path.abspath(str(row["input_path"]))}
            else:
                yield gate.measure(row, Path(restored, str(row["file"])))

    return write_keep_reject(report, rows(), gate, restored)


def write_keep_reject(
    folder: str | Path,
    rows: Iterable[Mapping[str, Any]],
    gate: Gate,
    restored: str | Path,
    writer: str = "",
) -> str:
    """Write ``keep.csv`` and ``reject.csv``.

    Arguments
    ---------
    folder : str or Path
        Folder in which to write the files.
    rows : iterable of dict
        Rows from ``Gate.measure``. The optional keys ``wav`` and ``duration``
        override the path and duration of the restored file, for example with
        those of the input if the restored file is missing.
    gate : Gate
        The thresholds.
    restored : str or Path
        Folder of the restored recordings, for which ``$data_root`` stands.
    writer : str
        Name that is unique among the processes that write at the same time.

    Returns
    -------
    str
        One line with the numbers of kept recordings and of rejections by
        reason.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> rows = [
    ...     {"file": "anna/1.wav", "seconds": 2.0, "restored_per": 10.0},
    ...     {"file": "anna/2.wav", "seconds": 2.0, "restored_per": 60.0},
    ... ]
    >>> write_keep_reject(folder, rows, Gate({"max_per": 40}), "restored")
    'kept 1 of 2 recordings; rejected by: phoneme error rate 1'
    >>> print((folder / "reject.csv").read_text())
    ID,duration,wav,spk_id,restored_per,reasons
    anna/2,2.0000,$data_root/anna/2.wav,anna,60.0000,phoneme error rate 60.0 ...
    """
    columns = [*COLUMNS, *(c for c in gate.columns if c != "seconds")]
    names: set[str] = set()
    causes: Counter[str] = Counter()
    kept = 0
    with (
        _table(Path(folder, KEEP), columns, writer) as keep,
        _table(Path(folder, REJECT), [*columns, "reasons"], writer) as reject,
    ):
        for row in rows:
            found = {**row, **_manifest_row(row, restored, names)}
            reasons = {**_name_reasons(found["ID"]), **gate.reasons(row)}
            table = reject if reasons else keep
            kept += not reasons
            causes.update(reasons.keys())
            table.writerow(
                {
                    **{name: _text(found.get(name)) for name in columns},
                    **(
                        {"reasons": "; ".join(reasons.values())}
                        if reasons
                        else {}
                    ),
                }
            )
    return _summary(kept, len(names), causes)


def _manifest_row(
    row: Mapping[str, Any], restored: str | Path, names: set[str]
) -> dict[str, str]:
    """Return the manifest columns of a row; add the unique ID to ``names``."""
    file = AudioFile(str(row["file"]), 0, 0)
    ID = file.path if file.stem in names else file.stem
    names.add(ID)
    return {
        "ID": ID,
        "duration": _text(row.get("duration", row.get("seconds"))),
        "wav": str(row.get("wav") or f"$data_root/{file.path}"),
        "spk_id": first_folder(restored, file.folders),
    }


def _name_reasons(ID: str) -> dict[str, str]:
    """Return the reason why a manifest cannot contain an ID, if any."""
    if "$" in ID:
        return {"name": "its name contains '$', which is reserved in manifests"}
    try:
        ID.encode("utf-8")
    except UnicodeEncodeError:
        return {"name": "its name is not valid UTF-8"}
    return {}


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value or "")


def _summary(kept: int, total: int, causes: Counter[str]) -> str:
    line = f"kept {kept:,} of {count(total, 'recording')}"
    if causes:
        parts = (f"{name} {n:,}" for name, n in causes.most_common())
        line += f"; rejected by: {', '.join(parts)}"
    return line


@contextlib.contextmanager
def _table(
    path: Path, columns: list[str], writer: str
) -> Iterator["csv.DictWriter[str]"]:
    """Open a CSV file that is written row by row."""
    with atomic_write(path, writer) as file:
        text = io.TextIOWrapper(file, "utf-8", ERRORS, newline="")
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        yield table
        text.flush()
        text.detach()
