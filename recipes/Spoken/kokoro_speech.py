"""Synthesis and check of the clips of one speaker, with Kokoro-82M.

Authors
 * The miipher2 authors 2026
"""

import json

import numpy as np
import soxr
import torch

from miipher2.dataio.audio import write_audio
from miipher2.dataio.tables import write_table
from miipher2.degrade import generator
from miipher2.errors import UserError

RATE = 24000
LEVEL = 0.06  # root mean square of active speech
PEAK = 0.95
MARGIN_SECONDS = (0.1, 0.15)  # kept before and after the speech
COLUMNS = ("file", "language", "voices", "size", "pace", "text", "dropped")


class Synthesiser:
    """Kokoro in one process, and the checks of its clips.

    Arguments
    ---------
    source : dict
        Paths of ``model`` and ``voices``.
    sentences : dict
        Sentences by language.
    checks : dict
        ``recogniser``, ``max_cer`` and ``min_ovrl``.
    threads : int
        Threads of the model.
    """

    current = None  # of this process

    def __init__(self, source, sentences, checks, threads):
        self.kokoro = load_kokoro(source["model"], source["voices"], threads)
        with np.load(source["voices"]) as file:
            self.styles = dict(file)
        self.sentences = sentences
        self.checks = checks
        self.dnsmos = self.recogniser = None
        if checks["min_ovrl"] > 0:
            from miipher2.evaluation.metrics import DNSMOS

            self.dnsmos = DNSMOS()
        if checks["recogniser"]:
            from miipher2.evaluation.recognition import WordErrors

            self.recogniser = WordErrors(checks["recogniser"], {"": ""})

    @classmethod
    def start(cls, *arguments):
        """Load the models of a process."""
        cls.current = cls(*arguments)

    @classmethod
    def run(cls, *job):
        """Synthesise one speaker in this process."""
        cls.current.speak_all(*job)

    def speak_all(self, folder, who, clips, seed):
        """Write the clips of a speaker, then ``clips.csv``."""
        rng = generator(seed, "sentences", who["speaker"])
        texts = self.sentences[who["language"]]
        order = rng.permutation(len(texts))[:clips]
        rows = []
        for number, index in enumerate(order):
            text = texts[index]
            wav = self.speak(who, text)
            reason = self.find_fault(wav, text)
            path = folder / f"{who['speaker']}_{number:02d}.flac"
            if not reason:
                write_audio(path, torch.from_numpy(wav), RATE)
            rows.append(
                {
                    "file": path.name,
                    "language": who["language"],
                    "voices": json.dumps(who["voices"]),
                    "size": f"{who['size']:.3f}",
                    "pace": f"{who['pace']:.3f}",
                    "text": text,
                    "dropped": reason,
                }
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / "clips.csv", COLUMNS, rows)

    def speak(self, who, text):
        """Return one sentence as float32 ``(time,)`` at 24 kHz.

        The size changes pitch and formants together: the speech is made slower
        or faster by resampling, and the pace of the model makes up for it.
        """
        style = sum(w * self.styles[n] for n, w in who["voices"].items())
        wav, _ = self.kokoro.create(
            text,
            voice=style.astype(np.float32),
            speed=who["pace"] * who["size"],
            lang=who["language"],
        )
        if who["size"] != 1.0:
            wav = soxr.resample(wav, RATE, RATE * who["size"])
        return trim(wav)

    def find_fault(self, wav, text):
        """Return why a clip is dropped, or an empty string."""
        from miipher2.evaluation.base import SAMPLE_RATE, Clip

        if not wav.any():
            return "silent"
        narrow = soxr.resample(wav, RATE, SAMPLE_RATE)
        clips = {"restored": Clip(narrow, narrow)}
        if self.recogniser:
            self.recogniser.transcripts = {"clip": text}
            cer = score(self.recogniser, clips)["cer"]
            if not cer <= self.checks["max_cer"]:
                return f"character errors {cer:.0f} %"
        if self.dnsmos:
            found = score(self.dnsmos, clips)["ovrl"]
            if not found >= self.checks["min_ovrl"]:
                return f"OVRL {found:.2f}"
        return ""


def score(metric, clips):
    """Return the scores of a clip by column."""
    scores = metric.measure("clip.wav", clips, None)["restored"]
    return dict(zip(metric.columns, scores, strict=True))


def load_kokoro(model, voices, threads):
    """Load Kokoro-82M with the package kokoro-onnx."""
    try:
        import onnxruntime
        from kokoro_onnx import Kokoro
    except ImportError:
        raise UserError(
            "speech synthesis needs kokoro-onnx: pip install kokoro-onnx"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model), options)
    return Kokoro.from_session(session, str(voices))


def trim(wav):
    """Remove long silence at both ends and set the level."""
    loud = np.abs(wav) > 0.02 * np.abs(wav).max()
    if not loud.any():
        return np.zeros(RATE // 10, dtype=np.float32)
    before, after = (round(seconds * RATE) for seconds in MARGIN_SECONDS)
    last = len(loud) - int(loud[::-1].argmax())
    wav = wav[max(0, int(loud.argmax()) - before) : last + after]
    peak = np.abs(wav).max()
    active = wav[np.abs(wav) > 0.05 * peak]
    gain = min(LEVEL / np.sqrt(np.mean(active**2)), PEAK / peak)
    return (gain * wav).astype(np.float32)
