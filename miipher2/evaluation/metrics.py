"""The metrics, each through the package that defines it.

Authors
 * The miipher2 authors 2026
"""

import importlib
import importlib.metadata
import unicodedata
import warnings
from typing import NamedTuple

import numpy as np
from speechbrain.utils.edit_distance import accumulatable_wer_stats

from miipher2.errors import UserError
from miipher2.evaluation.compare import log_spectral_distance

SAMPLE_RATE = 16000
NAN = float("nan")


class Clip(NamedTuple):
    """A recording as the metrics get it, at 16 kHz, neither empty nor silent.

    Arguments
    ---------
    wav : numpy.ndarray
        ``(time,)`` float32 in [-1, 1], as it was read.
    aligned : numpy.ndarray
        The same without its delay against the clean reference; None if there
        is no reference.
    """

    wav: np.ndarray
    aligned: np.ndarray = None


class Metric:
    """The contract: a metric listens to each side, then gives it a score.

    The sides are ``input``, ``restored`` and ``clean``. A subclass imports its
    packages in its constructor: if one is not installed, the metric is left
    out and the report says what to install.

    ``columns`` holds the headings of the scores by their names in the CSV;
    ``meaning`` says in a line what they are; ``packages`` what is imported, beside what pip calls it; ``install`` how
    to get them; ``against`` the sides that a score may compare with, the
    first that is there: empty for a score of one side alone.
    """

    columns = {}
    meaning = ""
    packages = {}
    install = "pip install 'miipher2[metrics]'"
    against = ()

    def __init__(self):
        for name in self.packages:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                importlib.import_module(name)

    def versions(self):
        """Which packages measure.

        Returns
        -------
        list of str
            Names and versions.
        """
        found = []
        for package in self.packages.values():
            try:
                package += f" {importlib.metadata.version(package)}"
            except importlib.metadata.PackageNotFoundError:
                pass  # the module came by another package: named without
            found.append(package)
        return found

    def remark(self, target):
        """What the summary says of the columns.

        Arguments
        ---------
        target : str
            The side that the others are compared with, or None.

        Returns
        -------
        str
            A line.
        """
        columns = ", ".join(self.columns.values())
        against = f", {target} being the reference" if target else ""
        return f"{columns}: {self.meaning}{against}"

    def hear(self, file, clips):
        """Takes from each side what is compared; here the aligned samples.

        Arguments
        ---------
        file : str
            The restored file, relative to its folder.
        clips : dict
            ``Clip`` by side.

        Returns
        -------
        dict
            What was heard, by side.
        """
        return {side: clip.aligned for side, clip in clips.items()}

    def score(self, heard, target=None):
        """Gives one side its scores.

        Arguments
        ---------
        heard : object
            What ``hear`` gave for this side.
        target : object
            The same of the side to compare with.

        Returns
        -------
        list of float
            In the order of ``columns``; NaN where it is not defined.
        """
        raise NotImplementedError

    def target(self, sides):
        """Which side the others are compared with.

        Arguments
        ---------
        sides : list of str
            The sides of this evaluation, whether or not a file has them all.

        Returns
        -------
        str
            None for a score of one side alone, or if there is no such side.
        """
        return next((side for side in self.against if side in sides), None)

    def measure(self, file, clips, target):
        """Scores the sides of a file.

        Arguments
        ---------
        file : str
            The restored file, relative to its folder.
        clips : dict
            ``Clip`` by side.
        target : str
            The side to compare with; see ``target``.

        Returns
        -------
        dict
            The scores by side, without those of the target; empty if the file
            lacks the target.
        """
        if self.against and target not in clips:
            return {}
        heard = self.hear(file, clips)
        goal = heard.pop(target, None)
        return {side: self.score(what, goal) for side, what in heard.items()}


class DNSMOS(Metric):
    """DNSMOS P.835 (speech, background, overall) and P.808, each 1 to 5.

    A model of Microsoft guesses how people would rate the sound; it needs no
    reference. Mean over windows of 9.01 s; shorter clips are repeated.
    """

    columns = {"sig": "SIG", "bak": "BAK", "ovrl": "OVRL", "p808": "P.808"}
    meaning = "guessed opinion of P.835 and P.808, 1 to 5, higher is better"
    packages = {
        "speechmos.dnsmos": "speechmos",
        "librosa": "librosa",
        "onnxruntime": "onnxruntime",
    }

    def hear(self, file, clips):
        """The samples as they were read."""
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, heard, target=None):
        """SIG, BAK, OVRL and P.808."""
        from speechmos import dnsmos

        found = dnsmos.run(heard, SAMPLE_RATE)
        return [float(found[f"{name}_mos"]) for name in self.columns]


class PESQ(Metric):
    """Wide-band PESQ, ITU-T P.862.2, 1.04 to 4.64."""

    columns = {"pesq_wb": "PESQ-WB"}
    meaning = "P.862.2, 1.04 to 4.64, higher is better"
    packages = {"pesq": "pesq"}
    against = ("clean",)

    def score(self, heard, target=None):
        """NaN if PESQ finds no utterance, or the clip is below 1/4 s."""
        import pesq

        time = min(len(heard), len(target))
        try:
            score = pesq.pesq(SAMPLE_RATE, target[:time], heard[:time], "wb")
        except pesq.PesqError:
            return [NAN]
        return [float(score)]


class ESTOI(Metric):
    """Extended short-time objective intelligibility, up to 1."""

    columns = {"estoi": "ESTOI"}
    meaning = "intelligibility, up to 1, higher is better"
    packages = {"pystoi": "pystoi"}
    against = ("clean",)

    def score(self, heard, target=None):
        """NaN if under 0.4 s of the reference is speech."""
        import pystoi

        time = min(len(heard), len(target))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                score = pystoi.stoi(
                    target[:time], heard[:time], SAMPLE_RATE, extended=True
                )
        except (RuntimeWarning, ValueError):
            return [NAN]
        return [float(score)]


class LSD(Metric):
    """Log-spectral distance in dB, see ``log_spectral_distance``."""

    columns = {"lsd": "LSD dB"}
    meaning = "log-spectral distance, lower is better"
    against = ("clean",)

    def score(self, heard, target=None):
        """The distance from 0 to 8 kHz."""
        return [log_spectral_distance(heard, target, SAMPLE_RATE)]


class SpeakerSimilarity(Metric):
    """Cosine of the speaker embeddings of Resemblyzer, 0 to 1.

    To the clean side or, without one, to the input.
    """

    columns = {"speaker": "speaker"}
    meaning = "cosine of voice embeddings, up to 1, higher is better"
    packages = {
        "resemblyzer": "resemblyzer",
        "webrtcvad": "webrtcvad-wheels",
        "librosa": "librosa",
    }
    install = (
        "pip install 'miipher2[metrics]' && pip install --no-deps resemblyzer"
    )
    against = ("clean", "input")

    def __init__(self):
        super().__init__()
        from resemblyzer import VoiceEncoder

        self.encoder = VoiceEncoder("cpu", verbose=False)

    def hear(self, file, clips):
        """The embeddings ``(256,)``; None where no voice is found."""
        from resemblyzer import preprocess_wav

        heard = {}
        for side, clip in clips.items():
            voice = preprocess_wav(clip.wav)
            heard[side] = (
                self.encoder.embed_utterance(voice) if len(voice) else None
            )
        return heard

    def score(self, heard, target=None):
        """NaN if either side has no voice."""
        if heard is None or target is None:
            return [NAN]
        return [float(heard @ target)]


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


def load_metrics(recogniser=None, transcripts=None):
    """Loads every metric whose packages are installed.

    Arguments
    ---------
    recogniser : str
        See ``CharacterErrors``; None: no character error rate.
    transcripts : dict
        See ``CharacterErrors``.

    Returns
    -------
    metrics : list of Metric
        In the order of the columns.
    missing : list of str
        One sentence for each that is left out: what, why, what to install.

    Raises
    ------
    UserError
        If the recogniser cannot be loaded.
    """
    makers = [DNSMOS, PESQ, ESTOI, LSD, SpeakerSimilarity]
    missing = []
    if recogniser:
        makers.append(CharacterErrors)
    else:
        missing.append("CER %: left out: no --recogniser given")
    metrics = []
    for maker in makers:
        given = (
            () if maker is not CharacterErrors else (recogniser, transcripts)
        )
        try:
            metrics.append(maker(*given))
        except ImportError as error:
            columns = ", ".join(maker.columns.values())
            missing.append(f"{columns}: left out: {error}; {maker.install}")
    return metrics, missing
