"""Phoneme error rate, computed with a small recogniser.

A restoration model that is based on Whisper's encoder may lower the error rates
of Whisper without making speech more intelligible to listeners. The phoneme
recogniser in the ``hama`` package (5 MB) is independent of Whisper.

Authors
 * The miipher2 authors 2026
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from speechbrain.utils.edit_distance import accumulatable_wer_stats

from miipher2.evaluation.base import (
    NAN,
    SAMPLE_RATE,
    CachedFunction,
    Clip,
    Metric,
)


class PhonemeErrors(Metric):
    """Phoneme error rate of ``hama``'s recogniser, in percent.

    The reference is the recogniser's output for the clean recording or, if
    there is none, for the input.
    """

    columns = {"per": "PER %"}
    meaning = (
        "phoneme error rate with the recogniser of hama, at most 100 % per "
        "file, mean over files, lower is better"
    )
    packages = {"hama": "hama"}
    reference_sides = ("clean", "input")

    def __init__(self) -> None:
        super().__init__()
        import hama

        self.recogniser = hama.ASRModel()
        self.phonemes = CachedFunction(self._recognise)

    def extract(self, file: str, clips: Mapping[str, Clip]) -> dict[str, Any]:
        """Return the phonemes of each side."""
        return {side: self.phonemes(clip.wav) for side, clip in clips.items()}

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return the error rate; NaN if the reference has no phonemes."""
        return [phoneme_error_rate(reference, value)]

    def _recognise(self, wav: np.ndarray) -> list[str]:
        """Return the phonemes of a waveform."""
        found = self.recogniser.transcribe_waveform(wav, SAMPLE_RATE)
        return list(found.phonemes)


def phoneme_error_rate(
    truth: Sequence[str] | None, phonemes: Sequence[str]
) -> float:
    """Return the edit distance in percent of the reference length.

    Arguments
    ---------
    truth : list of str
        The phonemes of the reference; None or empty if there are none.
    phonemes : list of str
        The recognised phonemes.

    Returns
    -------
    float
        The error rate in percent, at most 100; NaN without reference phonemes.

    Example
    -------
    >>> phoneme_error_rate(["f", "ɔ", "ɹ", "s"], ["f", "ɔ", "ɹ"])
    25.0
    """
    if not truth:
        return NAN
    stats = accumulatable_wer_stats([list(truth)], [list(phonemes)])
    return min(100.0, stats["WER"])
