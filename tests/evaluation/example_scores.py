"""A small synthetic report for tests: recordings and ``files.csv``.

Authors
 * The miipher2 authors 2026
"""

import numpy
from toy_metrics import RATE, speech, write

from miipher2.dataio.tables import write_table
from miipher2.evaluation.scores import SIDES

# Mean score of the inputs, and mean change from input to restored
SCORES = {
    "sig": (3.0, 0.4),
    "bak": (2.5, 1.2),
    "ovrl": (2.2, 0.7),
    "p808": (2.8, 0.6),
    "pesq_wb": (1.6, 0.3),
    "estoi": (0.7, 0.1),
    "sisdr": (5.0, -8.0),
    "lsd": (12.0, -3.0),
    "mcd": (6.0, -1.0),
    "speaker": (0.85, -0.02),
    "wer": (12.0, 6.0),
    "wer_sub": (6.0, 3.0),
    "wer_ins": (2.0, 1.0),
    "wer_del": (4.0, 2.0),
    "cer": (6.0, 3.0),
    "cer_sub": (3.0, 1.0),
    "cer_ins": (1.0, 1.0),
    "cer_del": (2.0, 1.0),
    "loop": (0.0, 0.0),
    "per": (23.0, 3.0),
}
WITHOUT_REFERENCE = ("sig", "bak", "ovrl", "p808")
COLUMNS = (
    "file",
    "condition",
    "status",
    "seconds",
    *(f"{side}_path" for side in SIDES),
    "input_delay_ms",
    "restored_delay_ms",
    *(
        f"{side}_{name}"
        for name in SCORES
        for side in SIDES
        if side != "clean" or name in WITHOUT_REFERENCE
    ),
    "version",
    "notes",
)


def example(folder, files=6, audio=True, seconds=0.5):
    """Write a ``files.csv`` with random scores, and optionally the recordings.

    The conditions are ``noise`` and ``reverb``. For ``reverb/1.wav``, the
    recogniser repeats itself. The file with the highest number has the status
    ``failed``.

    Arguments
    ---------
    folder : Path
        Folder for ``input/``, ``restored/``, ``clean/`` and ``report/``.
    files : int
        Number of rows.
    audio : bool
        Whether to write the recordings.
    seconds : float
        Duration of each recording.

    Returns
    -------
    Path
        The path of ``report/files.csv``.
    """
    rng = numpy.random.default_rng(0)
    rows = [
        _row(folder, index, files, rng, audio, seconds)
        for index in range(files)
    ]
    path = folder / "report" / "files.csv"
    write_table(path, COLUMNS, sorted(rows, key=lambda row: row["file"]))
    return path


def _row(folder, index, files, rng, audio, seconds):
    condition = ("noise", "reverb")[index % 2]
    row = {"file": f"{condition}/{index}.wav", "condition": condition}
    clean = speech(index, seconds)
    for number, side in enumerate(SIDES):
        path = folder / side / row["file"]
        row[f"{side}_path"] = str(path)
        if audio:
            noise = (0.02, 0.002, 0.0)[number] * rng.standard_normal(len(clean))
            write(path, clean + noise)
    row["version"] = "0123456789abcdef"
    if index == files - 1:
        return {**row, "status": "failed", "notes": "restored is silent"}
    row["status"] = "done"
    row["seconds"] = f"{len(clean) / RATE:.4f}"
    row["input_delay_ms"] = row["restored_delay_ms"] = "0.0000"
    for name, (level, change) in SCORES.items():
        spread = 0.1 * level * rng.standard_normal()
        for number, side in enumerate(SIDES):
            value = level + spread + number * change * rng.uniform(0.5, 1.5)
            row[f"{side}_{name}"] = f"{value:.4f}"
    if index == 1:
        row["restored_loop"] = "1.0000"
        row["notes"] = "restored: the recogniser repeats itself"
    return row
