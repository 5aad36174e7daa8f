"""RNNoise, cached scores, and tables that compare systems.

Authors
 * The miipher2 authors 2026
"""

import json
from pathlib import Path

import numpy as np

from miipher2.dataio.atomic import write_text
from miipher2.dataio.audio import read_audio, resample
from miipher2.dataio.digest import digest, file_digest
from miipher2.dataio.speech_level import SpeechLevel
from miipher2.errors import UserError
from miipher2.evaluation.base import SAMPLE_RATE, Clip
from miipher2.evaluation.compare import (
    find_delay,
    log_spectral_distance,
    remove_delay,
)
from miipher2.evaluation.metrics import LSD

RNNOISE_RATE = 48000
RNNOISE_DELAY = 960  # in samples, measured
HEADROOM = 0.7  # maximum input peak, so that the int16 output does not clip


def rnnoise(wav):
    """Denoise speech with RNNoise (package pyrnnoise).

    Arguments
    ---------
    wav : numpy.ndarray
        ``(time,)`` at 16 kHz. It is resampled to 48 kHz and back.

    Returns
    -------
    numpy.ndarray
        ``(time,)`` float32, aligned with the input.

    Example
    -------
    >>> rnnoise(np.zeros(16000, dtype="float32")).shape  # doctest: +SKIP
    (16000,)
    """
    from pyrnnoise import rnnoise as package

    gain = min(1.0, HEADROOM / max(float(np.abs(wav).max()), 1e-9))
    upsampled = resample(gain * wav, SAMPLE_RATE, RNNOISE_RATE)
    padded = RNNOISE_DELAY + len(upsampled)
    padded += -padded % package.FRAME_SIZE
    frames = np.pad(upsampled, (0, padded - len(upsampled)))
    frames = np.rint(32767 * frames).astype(np.int16)
    state = package.create()
    output = [
        package.process_mono_frame(state, frame)[0]
        for frame in frames.reshape(-1, package.FRAME_SIZE)
    ]
    package.destroy(state)
    output = np.concatenate(output)[RNNOISE_DELAY:][: len(upsampled)]
    output = output.astype(np.float32) / np.float32(32767 * gain)
    return resample(output, RNNOISE_RATE, SAMPLE_RATE)[: len(wav)]


class BandLSD(LSD):
    """Log-spectral distance, in dB, over the frequencies above a cut-off.

    Arguments
    ---------
    cutoff_hz : float
        Lowest frequency in Hz; lower frequencies are ignored.

    Example
    -------
    >>> BandLSD(3000).meaning
    'log-spectral distance above 3000 Hz, lower is better'
    """

    columns = {"lsd_above": "LSD above the cut-off, dB"}

    def __init__(self, cutoff_hz):
        super().__init__()
        self.cutoff_hz = cutoff_hz
        self.meaning = (
            f"log-spectral distance above {cutoff_hz:g} Hz, lower is better"
        )

    def score(self, value, reference=None):
        """Return the log-spectral distance from the cut-off up to 8 kHz."""
        return [
            log_spectral_distance(value, reference, SAMPLE_RATE, self.cutoff_hz)
        ]


class ScoreCache:
    """Cache of the scores of recordings relative to clean recordings.

    Each key is a digest of the content of both files, the metric and the
    versions of its packages.

    Arguments
    ---------
    path : str or Path
        JSON file of all scores.

    Raises
    ------
    UserError
        If the file is not valid JSON.

    Example
    -------
    >>> import torch
    >>> from miipher2.dataio.audio import write_audio
    >>> folder = getfixture("tmp_path")
    >>> write_audio(folder / "a.wav", torch.rand(16000), 16000)
    >>> cache = ScoreCache(folder / "scores.json")
    >>> cache.scores([LSD()], "a", folder / "a.wav", folder / "a.wav")
    {'lsd': 0.0}
    >>> cache.measured
    1
    """

    def __init__(self, path):
        self.path = Path(path)
        self.known = {}
        self.measured = 0
        if self.path.exists():
            try:
                self.known = json.loads(self.path.read_text("utf-8"))
            except ValueError:
                raise UserError(
                    f"{path}: not valid JSON; remove the file to score again"
                ) from None

    def scores(self, metrics, name, recording, clean):
        """Score one recording.

        Arguments
        ---------
        metrics : list of Metric
            The metrics.
        name : str
            Name of the recording, passed to ``Metric.measure``.
        recording, clean : str or Path
            The two files.

        Returns
        -------
        dict
            Score by column; NaN if undefined.

        Raises
        ------
        UserError
            If a file cannot be read or is silent.
        """
        files = [_content(recording), _content(clean)]
        scores, clips = {}, None
        for metric in metrics:
            target = metric.reference_side(["restored", "clean"])
            measure = [type(metric).__name__, *metric.versions()]
            key = " ".join([*measure, metric.remark(target), *files])
            key = digest(key)
            if key not in self.known:
                clips = clips or _clips(recording, clean)
                found = metric.measure(name, clips, target)
                self.known[key] = found["restored"]
                self.measured += 1
            scores.update(zip(metric.columns, self.known[key], strict=True))
        return scores

    def write(self):
        """Write the JSON file atomically."""
        write_text(self.path, json.dumps(self.known))


def _content(path):
    try:
        return file_digest(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _clips(recording, clean):
    """Read both files and remove the delay of the recording."""
    wavs = []
    for path in (recording, clean):
        wav = read_audio(path, SAMPLE_RATE).clamp(-1, 1)
        if SpeechLevel.of(wav, SAMPLE_RATE).is_silence():
            raise UserError(f"{path}: a silent recording cannot be scored")
        wavs.append(wav.numpy())
    wav, target = wavs
    delay = find_delay(wav, target, SAMPLE_RATE) or 0
    return {
        "restored": Clip(wav, remove_delay(wav, delay)),
        "clean": Clip(target, target),
    }


def table(heading, figures, systems):
    """Format the scores of one metric as a table, one column per system.

    Arguments
    ---------
    heading : str
        Name of the metric.
    figures : dict
        ``{name of the row: {system: mean score}}``; NaN is shown as a dash.
    systems : dict
        Heading by system.

    Returns
    -------
    str
        A Markdown table.

    Example
    -------
    >>> print(table("LSD", {"noise": {"a": 1.0}}, {"a": "input"}))
    | LSD | input |
    |---|---|
    | noise | 1.00 |
    """
    lines = [[heading, *systems.values()]]
    for name, scores in figures.items():
        values = [scores[system] for system in systems]
        lines.append(
            [name, *(f"{v:.2f}" if np.isfinite(v) else "-" for v in values)]
        )
    head, *rows = (f"| {' | '.join(cells)} |" for cells in lines)
    return "\n".join([head, "|---" * len(lines[0]) + "|", *rows])
