"""Reader for ``train_log.txt``.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import math
import re
from pathlib import Path

VALUE = re.compile(r"([^:,]+): (\S+?)(?:,|$)")


def read_train_log(path):
    """Read a log written by SpeechBrain's ``FileTrainLogger``.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    dict
        Two lists, steps and values, by name of the statistic. A name starts
        with ``train``, ``valid`` or ``test``, or is ``lr``. If a resumed run
        repeats steps, the later lines are used. Non-finite values and the
        damaged parts of lines are omitted.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train_log.txt"
    >>> _ = path.write_text(
    ...     "step: 5, lr: 1.0e-03 - train loss: 3.2 - valid l1: 2.0, valid l2: 4\\n"
    ...     "step: 9 - train loss: 2.9\\n"
    ...     "step: 8 - train loss: 3.0\\n"
    ... )
    >>> curves = read_train_log(path)
    >>> curves["train loss"]
    ([5, 8], [3.2, 3.0])
    >>> list(curves)
    ['lr', 'train loss', 'valid l1', 'valid l2']
    """
    rows, latest = [], -1
    for line in Path(path).read_text("utf-8", "replace").splitlines():
        values = _values(line)
        step = int(values.pop("step", -1))
        if step < 0 or not values:
            continue
        # a test line has the step of the exported checkpoint, which may be
        # earlier than the latest validation
        if not any(name.startswith("test ") for name in values):
            if step <= latest:
                rows = [row for row in rows if row[0] < step]
            latest = step
        rows.append((step, values))
    curves = {}
    for step, values in rows:
        for name, value in values.items():
            steps, column = curves.setdefault(name, ([], []))
            steps.append(step)
            column.append(value)
    return curves


def _values(line):
    """Return the finite values of a line by name."""
    values = {}
    for part in line.split(" - "):
        for name, text in VALUE.findall(part):
            with contextlib.suppress(ValueError):
                value = float(text)
                if math.isfinite(value):
                    values[name.strip()] = value
    return values
