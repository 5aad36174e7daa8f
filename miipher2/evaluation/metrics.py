"""The metrics, each through the package that defines it.

Authors
 * The miipher2 authors 2026
"""

import warnings

from miipher2.evaluation.compare import log_spectral_distance
from miipher2.evaluation.metric import NAN, SAMPLE_RATE, Metric
from miipher2.evaluation.recognition import CharacterErrors


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
