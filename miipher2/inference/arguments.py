"""Checks of the arguments passed to the Python interface.

Authors
 * The miipher2 authors 2026
"""

import math
import numbers
from typing import Any

from miipher2.dataio.formats import SUBTYPES
from miipher2.errors import UserError

LOUDNESS_RANGE = (-70.0, -5.0)  # LUFS
OUTPUT_RATES = (8000, 192000)  # Hz
CHANNELS = ("each", "mono")
MIN_BATCH_SECONDS = 0.001


def check_loudness(loudness: Any) -> None:
    """Raise a ``UserError`` unless the loudness is a valid setting.

    Example
    -------
    >>> check_loudness(-23)
    >>> check_loudness("-23")
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: loudness: expected 'input', 'off' or ...
    """
    if isinstance(loudness, str) and loudness in ("input", "off"):
        return
    if not _is_number(loudness, *LOUDNESS_RANGE):
        lowest, highest = LOUDNESS_RANGE
        raise UserError(
            "loudness: expected 'input', 'off' or a number of LUFS from "
            f"{lowest:g} to {highest:g}, found {loudness!r}"
        )


def check_rate(name: str, rate: Any, lowest: int, highest: int) -> None:
    """Raise a ``UserError`` unless a rate is an integer within a range."""
    if not isinstance(rate, numbers.Integral) or not _is_number(
        rate, lowest, highest
    ):
        raise UserError(
            f"{name}: expected a whole number of Hz from {lowest} to "
            f"{highest}, found {rate!r}"
        )


def check_channels(channels: Any) -> None:
    """Raise a ``UserError`` unless the channels are ``each`` or ``mono``."""
    if channels not in CHANNELS:
        raise UserError(
            f"channels: expected 'each' or 'mono', found {channels!r}"
        )


def check_subtype(subtype: Any) -> None:
    """Raise a ``UserError`` unless the subtype is None or supported."""
    if subtype is not None and subtype not in SUBTYPES:
        raise UserError(
            f"subtype: expected None or one of {', '.join(SUBTYPES)}, found "
            f"{subtype!r}"
        )


def check_batch_seconds(seconds: Any) -> None:
    """Raise a ``UserError`` unless the duration is None or at least 0.001 s."""
    if seconds is not None and not _is_number(
        seconds, MIN_BATCH_SECONDS, math.inf
    ):
        raise UserError(
            "batch_seconds: expected at least 0.001 seconds or None, found "
            f"{seconds!r}"
        )


def _is_number(value, lowest, highest):
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and lowest <= value <= highest
    )
