"""Counts and durations as text, for log lines and summaries.

Authors
 * The miipher2 authors 2026
"""


def count(number, noun, plural=None):
    """Return a number with its noun.

    Arguments
    ---------
    number : int
        The number.
    noun : str
        The noun in the singular.
    plural : str
        The noun in the plural. None for the singular with an ``s``.

    Returns
    -------
    str
        Number and noun, with a comma as the thousands separator.

    Example
    -------
    >>> count(1, "file"), count(1200, "file"), count(0, "entry", "entries")
    ('1 file', '1,200 files', '0 entries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds):
    """Return a duration as text in seconds, minutes or hours.

    Arguments
    ---------
    seconds : float
        Duration in seconds, not negative.

    Returns
    -------
    str
        For example ``9.9 s``, ``2 min 3 s`` or ``1.5 h``.

    Example
    -------
    >>> duration(0.25), duration(9.94), duration(42.4), duration(123)
    ('0.25 s', '9.9 s', '42 s', '2 min 3 s')
    >>> duration(3599.6), duration(5400), duration(360000)
    ('1.0 h', '1.5 h', '100 h')
    """
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        minutes, remainder = divmod(rounded, 60)
        text = f"{minutes} min"
        return f"{text} {remainder} s" if remainder else text
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 99.95 else f"{hours:,.0f} h"
