"""The character error rate of a speech recogniser.

Authors
 * The miipher2 authors 2026
"""

import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
from speechbrain.utils.edit_distance import accumulatable_wer_stats

from miipher2.errors import UserError
from miipher2.evaluation.base import Clip, Metric


class CharacterErrors(Metric):
    """Character error rate of a Whisper model, in percent.

    The reference text is the file's transcript. Without transcripts, it is the
    recogniser's output for the clean side or, without one, for the input.
    Case, punctuation and repeated white space are ignored. The language is
    detected on the first side available of clean, input and restored, and used
    for all sides.

    Arguments
    ---------
    recogniser : str
        Folder of a Whisper model in CTranslate2 format, or a model name of
        faster-whisper.
    transcripts : dict
        Text by the restored file's relative path without suffix, or by its
        name.

    Raises
    ------
    UserError
        If the recogniser cannot be loaded.
    """

    columns = {"cer": "CER %"}
    packages = {"faster_whisper": "faster-whisper"}
    install = "pip install faster-whisper"

    def __init__(
        self,
        recogniser: str,
        transcripts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        from faster_whisper import WhisperModel

        self.recogniser = recogniser
        self.transcripts = transcripts
        self.reference_sides = () if transcripts else ("clean", "input")
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
        """Name the recogniser and the reference text."""
        truth = f"its output for {reference}" if reference else "transcripts"
        return (
            f"CER %: character error rate of {self.recogniser}; reference: "
            f"{truth}; mean over files, lower is better"
        )

    def extract(self, file: str, clips: Mapping[str, Clip]) -> dict[str, Any]:
        """Return the transcript, or None, and the recognised text."""
        truth = transcript(self.transcripts or {}, file)
        texts, language = {}, None
        for side in ("clean", "input", "restored"):
            if side in clips:
                text, language = self._recognise(clips[side].wav, language)
                texts[side] = truth, text
        return texts

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return the error rate; NaN without a reference text."""
        truth, text = value
        if not self.transcripts:
            truth = reference[1]
        return [character_error_rate(truth or "", text)]

    def _recognise(
        self, wav: np.ndarray, language: str | None
    ) -> tuple[str, str]:
        """Return the text and its language, which is detected if None."""
        segments, info = self.model.transcribe(
            wav,
            language=language,
            temperature=0.0,  # greedy: higher temperatures sample at random
            condition_on_previous_text=False,
        )
        return "".join(segment.text for segment in segments), info.language


def transcript(transcripts: Mapping[str, str], file: str) -> str | None:
    """Look up the transcript of a file.

    Arguments
    ---------
    transcripts : dict
        Text by relative path without suffix, or by name.
    file : str
        Relative path with suffix.

    Returns
    -------
    str
        None if there is none.

    Example
    -------
    >>> transcript({"a": "Hello"}, "noise/a.wav")
    'Hello'
    """
    stem = file.rpartition(".")[0]
    return transcripts.get(stem, transcripts.get(stem.rpartition("/")[2]))


def character_error_rate(truth: str, text: str) -> float:
    """Return the edit distance in percent of the reference text's length.

    Arguments
    ---------
    truth : str
        The reference text.
    text : str
        The recognised text. Both are normalised first; see ``normalise``.

    Returns
    -------
    float
        In percent; above 100 if there are many insertions. NaN if the
        reference is empty.

    Example
    -------
    >>> character_error_rate("He's here.", "hes  HERE")
    0.0
    >>> character_error_rate("four", "for")
    25.0
    """
    truth, text = normalise(truth), normalise(text)
    return accumulatable_wer_stats([list(truth)], [list(text)])["WER"]


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
