"""The metrics of ``miipher2 evaluate``.

Authors
 * The miipher2 authors 2026
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miipher2.evaluation.base import (
    NAN,
    SAMPLE_RATE,
    CachedFunction,
    Clip,
    Metric,
)
from miipher2.evaluation.compare import (
    log_spectral_distance,
    mel_cepstral_distortion,
    si_sdr,
)
from miipher2.evaluation.phonemes import PhonemeErrors
from miipher2.evaluation.recognition import WordErrors


class DNSMOS(Metric):
    """DNSMOS P.835 (speech, background, overall) and P.808, each from 1 to 5.

    DNSMOS needs no reference; it predicts the ratings of listeners. The scores
    are means over windows of 9.01 s; shorter recordings are repeated until they
    fill a window.
    """

    columns = {"sig": "SIG", "bak": "BAK", "ovrl": "OVRL", "p808": "P.808"}
    meaning = "predicted ratings of P.835 and P.808, 1 to 5, higher is better"
    packages = {
        "speechmos.dnsmos": "speechmos",
        "librosa": "librosa",
        "onnxruntime": "onnxruntime",
    }

    def __init__(self) -> None:
        super().__init__()
        import onnxruntime
        from speechmos import dnsmos

        models = Path(dnsmos.__file__).with_name("dnsmos_models")
        paths = [str(models / n) for n in ("sig_bak_ovr.onnx", "model_v8.onnx")]
        self.model = dnsmos.DNSMOS(*paths)
        # By default, each process starts one thread per core
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.model.onnx_sess, self.model.p808_onnx_sess = (
            onnxruntime.InferenceSession(path, options) for path in paths
        )
        self.ratings = CachedFunction(self._rate)

    def extract(self, file: str, clips: Mapping[str, Clip]) -> dict[str, Any]:
        """Return the waveform of each side, without alignment."""
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return SIG, BAK, OVRL and P.808."""
        return self.ratings(value)

    def _rate(self, wav: np.ndarray) -> list[float]:
        found = self.model(wav, SAMPLE_RATE, is_personalized_MOS=False)
        return [float(found[f"{name}_mos"]) for name in self.columns]


class PESQ(Metric):
    """Wideband PESQ (ITU-T P.862.2), from 1.04 to 4.64."""

    columns = {"pesq_wb": "PESQ-WB"}
    meaning = "P.862.2, 1.04 to 4.64, higher is better"
    packages = {"pesq": "pesq"}
    reference_sides = ("clean",)

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return PESQ; NaN without speech or for less than 0.25 s."""
        import pesq

        time = min(len(value), len(reference))
        try:
            score = pesq.pesq(SAMPLE_RATE, reference[:time], value[:time], "wb")
        except pesq.PesqError:
            return [NAN]
        return [float(score)]


class ESTOI(Metric):
    """Extended short-time objective intelligibility, at most 1."""

    columns = {"estoi": "ESTOI"}
    meaning = "intelligibility, up to 1, higher is better"
    packages = {"pystoi": "pystoi"}
    reference_sides = ("clean",)

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return ESTOI; NaN for less than about 0.4 s of clean speech."""
        import pystoi

        time = min(len(value), len(reference))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                score = pystoi.stoi(
                    reference[:time], value[:time], SAMPLE_RATE, extended=True
                )
        except (RuntimeWarning, ValueError):
            return [NAN]
        return [float(score)]


class SISDR(Metric):
    """Scale-invariant signal-to-distortion ratio in dB; see ``si_sdr``."""

    columns = {"sisdr": "SI-SDR dB"}
    meaning = (
        "signal-to-distortion ratio, higher is better; low after any vocoder"
    )
    reference_sides = ("clean",)

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return the ratio; NaN if either signal is empty or constant."""
        return [si_sdr(value, reference)]


class LSD(Metric):
    """Log-spectral distance in dB; see ``log_spectral_distance``."""

    columns = {"lsd": "LSD dB"}
    meaning = "log-spectral distance, lower is better"
    reference_sides = ("clean",)

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return the distance in the band from 0 to 8 kHz."""
        return [log_spectral_distance(value, reference, SAMPLE_RATE)]


class MCD(Metric):
    """Mel-cepstral distortion in dB; see ``mel_cepstral_distortion``."""

    columns = {"mcd": "MCD dB"}
    meaning = (
        "mel-cepstral distortion, coefficients 1 to 24, no time warping, lower "
        "is better"
    )
    reference_sides = ("clean",)

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return the mean distortion of the frames with speech."""
        return [mel_cepstral_distortion(value, reference, SAMPLE_RATE)]


class SpeakerSimilarity(Metric):
    """Cosine similarity of Resemblyzer's speaker embeddings, 0 to 1.

    The reference is the clean recording or, if there is none, the input.
    """

    columns = {"speaker": "speaker"}
    meaning = "cosine of speaker embeddings, up to 1, higher is better"
    packages = {
        "resemblyzer": "resemblyzer",
        "webrtcvad": "webrtcvad-wheels",
        "librosa": "librosa",
    }
    reference_sides = ("clean", "input")

    @classmethod
    def install(cls) -> str:
        """Return the install commands; resemblyzer needs ``--no-deps``."""
        return (
            "pip install webrtcvad-wheels librosa && "
            "pip install --no-deps resemblyzer"
        )

    def __init__(self) -> None:
        super().__init__()
        from resemblyzer import VoiceEncoder

        self.encoder = VoiceEncoder("cpu", verbose=False)

    def extract(self, file: str, clips: Mapping[str, Clip]) -> dict[str, Any]:
        """Return the embeddings ``(256,)``; None without voice activity."""
        from resemblyzer import preprocess_wav

        embeddings = {}
        for side, clip in clips.items():
            voice = preprocess_wav(clip.wav)
            embeddings[side] = (
                self.encoder.embed_utterance(voice) if len(voice) else None
            )
        return embeddings

    def score(self, value: Any, reference: Any = None) -> list[float]:
        """Return the cosine; NaN if a recording has no voice activity."""
        if value is None or reference is None:
            return [NAN]
        return [float(value @ reference)]


METRICS: dict[str, type[Metric]] = {
    "dnsmos": DNSMOS,
    "pesq": PESQ,
    "estoi": ESTOI,
    "sisdr": SISDR,
    "lsd": LSD,
    "mcd": MCD,
    "speaker": SpeakerSimilarity,
    "words": WordErrors,
    "phonemes": PhonemeErrors,
}


def load_metrics(
    recogniser: str | None = None,
    transcripts: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
) -> tuple[list[Metric], list[str]]:
    """Load the metrics whose packages are installed.

    Arguments
    ---------
    recogniser : str
        See ``WordErrors``; None to leave out the word errors.
    transcripts : dict
        See ``WordErrors``.
    names : list of str
        Keys of ``METRICS``; None for all.

    Returns
    -------
    metrics : list of Metric
        The metrics, in the order of the columns of ``files.csv``.
    missing : list of str
        One remark for each requested metric that is left out, with the reason
        and, for missing packages, the command that installs them.

    Raises
    ------
    UserError
        If the recogniser cannot be loaded.

    Example
    -------
    >>> load_metrics(names=["lsd", "words"])[1]
    ['WER %, CER %: left out: no --recogniser given']
    """
    metrics: list[Metric] = []
    missing = []
    for key, metric in METRICS.items():
        if names is not None and key not in names:
            continue
        try:
            if metric is not WordErrors:
                metrics.append(metric())
            elif recogniser:
                metrics.append(WordErrors(recogniser, transcripts))
            else:
                missing.append(
                    f"{metric.names()}: left out: no --recogniser given"
                )
        except ImportError as error:
            missing.append(
                f"{metric.names()}: left out: {error}; {metric.install()}"
            )
    return metrics, missing
