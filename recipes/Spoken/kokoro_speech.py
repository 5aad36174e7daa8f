"""Synthesise clips with Kokoro-82M and check them.

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
MARGIN_SECONDS = (0.1, 0.15)  # silence kept before and after the speech
COLUMNS = ("file", "language", "voices", "size", "pace", "text", "dropped")


class Synthesiser:
    """Speech synthesiser that checks its clips.

    Each worker process has one instance, ``current``.

    Arguments
    ---------
    source : dict
        Paths of the ``model`` and its ``voices``.
    sentences : dict
        Sentences by language.
    checks : dict
        Settings of the checks: ``recogniser``, ``max_cer`` and ``min_ovrl``.
    threads : int
        Number of threads of the model.
    """

    current = None  # the instance of this process

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
        """Create the instance of this process."""
        cls.current = cls(*arguments)

    @classmethod
    def run(cls, *job):
        """Call ``synthesise_speaker`` on the instance of this process."""
        cls.current.synthesise_speaker(*job)

    def synthesise_speaker(self, folder, speaker, clips, seed):
        """Write the clips without faults, and list all clips in ``clips.csv``.

        Arguments
        ---------
        folder : Path
            Output folder of the speaker.
        speaker : dict
            The speaker, as returned by ``spoken_prepare.draw_speakers``.
        clips : int
            Number of sentences.
        seed : int
            Seed for the choice of sentences.
        """
        rng = generator(seed, "sentences", speaker["speaker"])
        texts = self.sentences[speaker["language"]]
        order = rng.permutation(len(texts))[:clips]
        rows = []
        for number, index in enumerate(order):
            text = texts[index]
            wav = self.synthesise(speaker, text)
            reason = self.find_fault(wav, text)
            path = folder / f"{speaker['speaker']}_{number:02d}.flac"
            if not reason:
                write_audio(path, torch.from_numpy(wav), RATE)
            rows.append(
                {
                    "file": path.name,
                    "language": speaker["language"],
                    "voices": json.dumps(speaker["voices"]),
                    "size": f"{speaker['size']:.3f}",
                    "pace": f"{speaker['pace']:.3f}",
                    "text": text,
                    "dropped": reason,
                }
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / "clips.csv", COLUMNS, rows)

    def synthesise(self, speaker, text):
        """Synthesise one sentence as float32 ``(time,)`` at 24 kHz.

        The size of the speaker scales pitch and formants together, by
        resampling. The model speaks faster or slower to keep the duration.
        """
        style = sum(w * self.styles[n] for n, w in speaker["voices"].items())
        wav, _ = self.kokoro.create(
            text,
            voice=style.astype(np.float32),
            speed=speaker["pace"] * speaker["size"],
            lang=speaker["language"],
        )
        if speaker["size"] != 1.0:
            wav = soxr.resample(wav, RATE, RATE * speaker["size"])
        return trim(wav)

    def find_fault(self, wav, text):
        """Return the reason for dropping a clip, or an empty string."""
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
            ovrl = score(self.dnsmos, clips)["ovrl"]
            if not ovrl >= self.checks["min_ovrl"]:
                return f"OVRL {ovrl:.2f}"
        return ""


def score(metric, clips):
    """Return the scores of a clip by column."""
    scores = metric.measure("clip.wav", clips, None)["restored"]
    return dict(zip(metric.columns, scores, strict=True))


def load_kokoro(model, voices, threads):
    """Load Kokoro-82M with the kokoro-onnx package."""
    try:
        import onnxruntime
        from kokoro_onnx import Kokoro
    except ImportError:
        raise UserError(
            "speech synthesis requires kokoro-onnx: pip install kokoro-onnx"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model), options)
    return Kokoro.from_session(session, str(voices))


def trim(wav):
    """Trim silence at both ends and set the level."""
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
