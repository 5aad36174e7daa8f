"""Inputs of a restoration run, and their results as rows of a manifest.

Authors
 * The miipher2 authors 2026
"""

import datetime
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


def now() -> str:
    """Return the UTC time in ISO format with microseconds."""
    time = datetime.datetime.now(datetime.timezone.utc)
    return time.isoformat(timespec="microseconds")


class Item(NamedTuple):
    """A recording to restore, or a tar file of recordings.

    Arguments
    ---------
    ID : str
        Path relative to the input folder, with ``/`` on every system.
    input : Path
        The input file.
    output : str
        The file to write, relative to the output folder.
    size : float
        Size of the input in bytes. For a recording in a tar file, its share of
        the size of the tar file.
    mtime_ns : int
        Modification time of the input in nanoseconds; 0 if unknown.
    sha256 : str
        Hash of the input's content; empty if it was not computed.
    status, reason : str
        Status and reason for the ``Row`` if they are known before the input is
        read; otherwise empty.
    """

    ID: str
    input: Path
    output: str
    size: float
    mtime_ns: int = 0
    sha256: str = ""
    status: str = ""
    reason: str = ""


@dataclass
class Row:
    """The result for one recording or tar file, a row of the output manifest.

    Arguments
    ---------
    ID : str
        Path relative to the input folder.
    input : str
        The input file.
    output : str
        The restored file, relative to the manifest's folder.
    status : str
        ``done``; ``silent``: below -80 dB, and not restored; ``skipped``: for
        example without audio or in an unsupported format; ``rejected``:
        replaced with the input or deleted, because of its scores; ``failed``.
    reason : str
        Why the recording failed, was skipped or was rejected; otherwise a note
        on the input or the output.
    seconds : float
        Duration of the input in seconds.
    input_rate, output_rate : int
        Sample rates in Hz.
    channels : int
        Number of output channels.
    seconds_spent : float
        Seconds from opening the input until the output was complete.
    bytes : int
        Size of the output in bytes.
    model : str
        Hash of the model's files.
    settings : str
        All other options that affect the output.
    input_bytes, input_mtime_ns, input_sha256
        Size, modification time and hash of the input, see ``Item``. For a
        recording in a tar file, these values describe the tar file.
    finished : str
        UTC time of completion.
    scores : str
        Scores as JSON; empty if the recording was not scored.
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
    input_bytes: int = 0
    input_mtime_ns: int = 0
    input_sha256: str = ""
    finished: str = field(default_factory=now)
    scores: str = ""

    @classmethod
    def of(cls, item, **fields):
        """Return the row of an item.

        Arguments
        ---------
        item : Item
            The item.
        **fields
            Values of other columns.

        Returns
        -------
        Row
            A row with the item's paths, size, modification time and hash, and
            with its status and reason if it has them.
        """
        row = cls(item.ID, os.path.abspath(item.input), item.output, **fields)
        if item.status:
            row.status, row.reason = item.status, item.reason
        row.set_input_version(item)
        return row

    def set_input_version(self, item):
        """Record the size, modification time and hash of the input.

        Arguments
        ---------
        item : Item
            The input. If it has no hash, the recorded hash is kept.
        """
        self.input_bytes, self.input_mtime_ns = item.size, item.mtime_ns
        self.input_sha256 = item.sha256 or self.input_sha256

    def has_version(self, item):
        """Return whether an input is unchanged since it was restored.

        Arguments
        ---------
        item : Item
            The input.

        Returns
        -------
        bool
            True if the hashes are equal or, if a hash is missing, if the sizes
            and modification times are equal. Always True for rows from earlier
            versions, which do not contain these values.
        """
        if self.input_sha256 and item.sha256:
            return self.input_sha256 == item.sha256
        return not self.input_mtime_ns or (
            self.input_bytes == item.size
            and self.input_mtime_ns == item.mtime_ns
        )
