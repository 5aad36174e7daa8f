"""Error rates between two texts, and loops in the output of recognisers.

Authors
 * The miipher2 authors 2026
"""

import unicodedata
from typing import NamedTuple

import numpy as np

from miipher2.evaluation.base import NAN

# A phrase at the end of a text is a loop if it occurs at least LOOP_REPEATS
# times in succession, with at least LOOP_CHARACTERS characters in total.
# Whisper may repeat a phrase up to its token limit; people rarely say a phrase
# four times.
LOOP_REPEATS = 4
LOOP_CHARACTERS = 40
MAX_PHRASE = 200  # characters


class Errors(NamedTuple):
    """Errors in percent of the reference length; NaN for an empty reference.

    Arguments
    ---------
    total : float
        The sum of substitutions, insertions and deletions, at most 100. Further
        insertions are not counted, because one file with invented text would
        otherwise dominate the mean over files.
    substitutions, insertions, deletions : float
        The errors of each type.
    """

    total: float
    substitutions: float
    insertions: float
    deletions: float


def word_errors(truth: str, text: str) -> Errors:
    """Return the word errors of a recognised text.

    Arguments
    ---------
    truth : str
        The normalised reference text.
    text : str
        The normalised recognised text.

    Returns
    -------
    Errors
        Errors in percent of the number of words in the reference.

    Example
    -------
    >>> word_errors("it is here", "it was over here").total
    66.66...
    """
    from jiwer import process_words

    return _errors(process_words(truth, text)) if truth else Errors(*[NAN] * 4)


def character_errors(truth: str, text: str) -> Errors:
    """Return the character errors of a recognised text.

    Arguments
    ---------
    truth : str
        The normalised reference text.
    text : str
        The normalised recognised text.

    Returns
    -------
    Errors
        Errors in percent of the number of characters in the reference,
        including spaces.

    Example
    -------
    >>> character_errors("four", "for")
    Errors(total=25.0, substitutions=0.0, insertions=0.0, deletions=25.0)
    """
    from jiwer import process_characters

    if not truth:
        return Errors(*[NAN] * 4)
    return _errors(process_characters(truth, text))


def _errors(found) -> Errors:
    length = found.hits + found.substitutions + found.deletions
    insertions = min(found.insertions, found.hits)
    kinds = found.substitutions, insertions, found.deletions
    return Errors(*(100 * count / length for count in (sum(kinds), *kinds)))


def normalise(text: str) -> str:
    """Return lower-case text without punctuation or repeated white space.

    Arguments
    ---------
    text : str
        Any text.

    Returns
    -------
    str
        Letters, marks, digits and single spaces.

    Example
    -------
    >>> normalise(" Ça va? ＯＫ ")
    'ça va ok'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    letters = (
        c for c in text if c.isspace() or unicodedata.category(c)[0] in "LMN"
    )
    return " ".join("".join(letters).split())


def cut_loop(text: str) -> str:
    """Remove the repetitions of a phrase at the end of a text.

    Recognisers such as Whisper sometimes repeat a phrase until they reach their
    token limit. A phrase of at most 200 characters is a loop if it occurs at
    least four times in succession, with at least 40 characters in total. The
    last occurrence can be incomplete.

    Arguments
    ---------
    text : str
        A normalised text.

    Returns
    -------
    str
        The text with a single occurrence of the phrase; the unchanged text if
        there is no loop.

    Example
    -------
    >>> cut_loop("we went home " + "and then " * 20 + "and th")
    'we went home and then'
    >>> cut_loop("no no no no")
    'no no no no'
    """
    letters = np.array(list(text[-20 * MAX_PHRASE :]))
    for length in range(1, min(MAX_PHRASE, len(letters) // LOOP_REPEATS) + 1):
        differs = np.flatnonzero(letters[length:] != letters[:-length])
        start = int(differs[-1]) + 1 if len(differs) else 0
        looped = len(letters) - start
        if looped >= max(LOOP_CHARACTERS, LOOP_REPEATS * length):
            return text[: len(text) - looped + length].rstrip()
    return text
