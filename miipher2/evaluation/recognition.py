"""How well a recogniser understands what was restored.

Authors
 * The miipher2 authors 2026
"""

import unicodedata

from speechbrain.utils.edit_distance import accumulatable_wer_stats

from miipher2.errors import UserError
from miipher2.evaluation.metric import Metric


class CharacterErrors(Metric):
    """Character error rate of a Whisper model, in percent of the true text.

    The true text is the transcript of the file or, without transcripts, what
    the same recogniser hears in the clean side or, without one, in the input.
    Case, punctuation and runs of white space do not count. The language is
    taken from the clean side or, without one, from the input, for all sides.

    Arguments
    ---------
    recogniser : str
        A folder with a Whisper in CTranslate2 form, or a name that
        faster-whisper knows.
    transcripts : dict
        Text by the restored file's relative path without suffix, or by its
        name alone.

    Raises
    ------
    UserError
        If the recogniser cannot be loaded.
    """

    columns = {"cer": "CER %"}
    packages = {"faster_whisper": "faster-whisper"}
    install = "pip install faster-whisper"

    def __init__(self, recogniser, transcripts=None):
        super().__init__()
        from faster_whisper import WhisperModel

        self.recogniser = recogniser
        self.transcripts = transcripts
        self.against = () if transcripts else ("clean", "input")
        try:
            self.model = WhisperModel(
                str(recogniser), device="cpu", compute_type="int8"
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{recogniser}: no Whisper that faster-whisper can load: "
                f"{str(error).strip().splitlines()[0]}"
            ) from None

    def remark(self, target):
        """Names the recogniser and what is taken for true."""
        truth = f"what it hears in {target}" if target else "the transcripts"
        return (
            f"CER %: character errors of {self.recogniser} against {truth}, "
            "mean of the files' rates, lower is better"
        )

    def hear(self, file, clips):
        """The true text, or None, and the text that was recognised."""
        truth = transcript(self.transcripts or {}, file)
        heard, language = {}, None
        for side in ("clean", "input", "restored"):
            if side in clips:
                text, language = self._text(clips[side].wav, language)
                heard[side] = truth, text
        return heard

    def score(self, heard, target=None):
        """NaN if there is no transcript for the file, or nothing in it."""
        truth, text = heard
        if not self.transcripts:
            truth = target[1]
        return [character_error_rate(truth or "", text)]

    def _text(self, wav, language):
        """The text and its language, which None leaves to the model."""
        segments, info = self.model.transcribe(
            wav,
            language=language,
            temperature=0.0,  # higher ones are drawn at random
            condition_on_previous_text=False,
        )
        return "".join(segment.text for segment in segments), info.language


def transcript(transcripts, file):
    """Looks up the text of a file.

    Arguments
    ---------
    transcripts : dict
        Text by relative path without suffix, or by name alone.
    file : str
        Relative path with its suffix.

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


def character_error_rate(truth, text):
    """Edits that turn one text into the other, in percent of its length.

    Arguments
    ---------
    truth, text : str
        Only letters, marks, digits and single spaces between them count, in
        lower case.

    Returns
    -------
    float
        Percent, above 100 if much was invented. NaN without a true text.

    Example
    -------
    >>> character_error_rate("He's here.", "hes  HERE")
    0.0
    >>> character_error_rate("four", "for")
    25.0
    """
    truth, text = plain(truth), plain(text)
    return accumulatable_wer_stats([list(truth)], [list(text)])["WER"]


def plain(text):
    """Lower case, without punctuation and needless white space.

    Arguments
    ---------
    text : str
        Any text.

    Returns
    -------
    str
        What ``character_error_rate`` counts.

    Example
    -------
    >>> plain(" Ça va? ＯＫ ")
    'ça va ok'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    kept = (
        c for c in text if c.isspace() or unicodedata.category(c)[0] in "LMN"
    )
    return " ".join("".join(kept).split())
