"""Word and character errors of a speech recogniser.

An evaluated file has up to three recordings, called sides: ``input``,
``restored`` and ``clean``.

Authors
 * The miipher2 authors 2026
"""

from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from miipher2.errors import UserError
from miipher2.evaluation.base import CachedFunction, Clip, Metric
from miipher2.evaluation.words import (
    character_errors,
    cut_loop,
    normalise,
    word_errors,
)

# Word error rate in percent above which the language is checked
CHECK_LANGUAGE_ABOVE = 50.0
MIN_LANGUAGE_PROBABILITY = 0.8  # of a detected language


class Recognition(NamedTuple):
    """The output of the recogniser for a recording.

    Arguments
    ---------
    text : str
        Normalised text without the repetitions of a loop.
    loop : bool
        Whether the recogniser's output contained a loop; see ``cut_loop``.
    language : str
        Code of the specified or detected language, for example ``en``.
    """

    text: str
    loop: bool
    language: str


class WordErrors(Metric):
    """Word and character errors of a Whisper model, in percent.

    The reference text is the transcript of the file. Without transcripts, it is
    the recogniser's output for the clean recording or, if there is none, for
    the input. Case, punctuation and repeated white space are ignored. The
    language is detected from the first available side, in the order clean,
    input, restored, and then used for all sides. A phrase that the recogniser
    repeats to the end of a window of 30 s is counted once; see ``cut_loop``.

    Arguments
    ---------
    recogniser : str
        Folder of a Whisper model in CTranslate2 format, or a
        faster-whisper model name.
    transcripts : dict
        Text by relative path or name of a restored file, without suffix. None
        to use the recogniser's output as the reference text.

    Raises
    ------
    UserError
        If the recogniser cannot be loaded.
    """

    columns = {
        "wer": "WER %",
        "wer_sub": "WER sub.",
        "wer_ins": "WER ins.",
        "wer_del": "WER del.",
        "cer": "CER %",
        "cer_sub": "CER sub.",
        "cer_ins": "CER ins.",
        "cer_del": "CER del.",
        "loop": "loops",
    }
    headline = ("wer", "cer")
    packages = {"faster_whisper": "faster-whisper", "jiwer": "jiwer"}
    reference_sides: tuple[str, ...] = ("clean", "input")

    def __init__(
        self,
        recogniser: str,
        transcripts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        from faster_whisper import WhisperModel

        self.recogniser = recogniser
        self.recognise = CachedFunction(self._recognise)
        self.transcripts = transcripts
        if transcripts:
            self.reference_sides = ()
        try:
            self.model = WhisperModel(
                str(recogniser), device="cpu", compute_type="int8"
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{recogniser}: faster-whisper cannot load it as a Whisper "
                f"model: {str(error).strip().splitlines()[0]}"
            ) from None

    def remark(self, reference: str | None) -> str:
        """Return the line of the summary that explains the columns."""
        truth = f"its output for {reference}" if reference else "transcripts"
        return (
            f"WER %, CER %: word and character errors of {self.recogniser}, "
            "lower is better; WER is the sum of substitutions (sub.), "
            "insertions (ins.) and deletions (del.), at most 100 % per file; a "
            "phrase that is repeated to the end is counted once, as a loop; "
            f"reference: {truth}"
        )

    def given(self, file: str) -> str:
        """Return the transcript; empty if there is none."""
        return transcript(self.transcripts or {}, file) or ""

    def extract(self, file: str, clips: Mapping[str, Clip]) -> dict[str, Any]:
        """Return the transcript, recognition and waveform of each side."""
        truth = transcript(self.transcripts or {}, file)
        found, language = {}, None
        for side in ("clean", "input", "restored"):
            if side in clips:
                wav = clips[side].wav
                recognised = self.recognise(wav, language)
                language = recognised.language
                found[side] = truth, recognised, wav
                if recognised.loop:
                    self.notes.append(f"{side}: the recogniser repeats itself")
        return found

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return error rates, and 1 for a loop; NaN without reference text."""
        truth, recognised, wav = value
        if self.transcripts:
            truth = cut_loop(normalise(truth or ""))
        else:
            truth = reference[1].text
        words = word_errors(truth, recognised.text)
        if words.total > CHECK_LANGUAGE_ABOVE:
            self._check_language(recognised.language, wav)
        loop = float(recognised.loop) if truth else float("nan")
        return [*words, *character_errors(truth, recognised.text), loop]

    def _check_language(self, expected: str, wav: np.ndarray) -> None:
        """Add a note if a recording seems to be in another language."""
        language, probability, *_ = self.model.detect_language(wav)
        if language != expected and probability > MIN_LANGUAGE_PROBABILITY:
            self.notes.append(
                f"detected language {language!r}, "
                f"but transcribed as {expected!r}"
            )

    def _recognise(self, wav: np.ndarray, language: str | None) -> Recognition:
        """Transcribe a recording; detect the language if none is specified."""
        segments, info = self.model.transcribe(
            wav,
            language=language,
            temperature=0.0,  # beam search without random sampling
            condition_on_previous_text=False,
        )
        windows = [
            normalise("".join(segment.text for segment in window))
            for _, window in groupby(segments, attrgetter("seek"))
        ]
        cut = [cut_loop(window) for window in windows]
        return Recognition(" ".join(cut), cut != windows, info.language)


def transcript(transcripts: Mapping[str, str], file: str) -> str | None:
    """Look up the transcript of a file.

    Arguments
    ---------
    transcripts : dict
        Text by relative path or name of a file, without suffix.
    file : str
        Relative path of the file, with suffix.

    Returns
    -------
    str
        The transcript; None if the file has no transcript.

    Example
    -------
    >>> transcript({"a": "Hello"}, "noise/a.wav")
    'Hello'
    """
    stem = file.rpartition(".")[0]
    return transcripts.get(stem, transcripts.get(stem.rpartition("/")[2]))
