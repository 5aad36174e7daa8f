"""The items of a restoration run and the records of their results.

Authors
 * The miipher2 authors 2026
"""

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


def now() -> str:
    """Return the UTC time in ISO format, to microseconds; it sorts by time."""
    time = datetime.datetime.now(datetime.timezone.utc)
    return time.isoformat(timespec="microseconds")


class Item(NamedTuple):
    """A recording to restore, or a tar of recordings.

    Arguments
    ---------
    ID : str
        Path relative to the input folder, with ``/`` on every system.
    input : Path
        The file.
    output : str
        The file to write, relative to the output folder.
    size : int
        Size of the input in bytes.
    """

    ID: str
    input: Path
    output: str
    size: int


@dataclass
class Row:
    """The result for one recording, a row of the output manifest.

    Arguments
    ---------
    ID : str
        Path relative to the input folder.
    input : str
        The input file.
    output : str
        The restored file, relative to the manifest's folder.
    status : str
        ``done``; ``silent``: contains no speech, passed through; ``skipped``:
        contains no audio to restore; ``failed``.
    reason : str
        Why it failed or was skipped, or a warning about the input.
    seconds : float
        Duration of the input.
    input_rate, output_rate : int
        Sample rates in Hz.
    channels : int
        Number of output channels.
    seconds_spent : float
        Time from opening the input until the output was written.
    bytes : int
        Size of the output.
    model : str
        Identity of the model.
    settings : str
        The other options that affect the output.
    finished : str
        UTC time of completion.
    """

    ID: str
    input: str
    output: str
    status: str = "done"
    reason: str = ""
    seconds: float = 0.0
    input_rate: int = 0
    output_rate: int = 0
    channels: int = 0
    seconds_spent: float = 0.0
    bytes: int = 0
    model: str = ""
    settings: str = ""
    finished: str = field(default_factory=now)
