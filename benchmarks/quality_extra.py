"""Additional conditions of ``benchmarks/quality.py``.

- ``wideband``: noisy speech at 24 kHz, about half of it with reverberation. It
  is scored like the other conditions, and also in the band above 8 kHz. Impulse
  responses at 16 kHz remove the reverberated speech above 8 kHz.
- ``upper-band``: the same clean speech at 16 kHz. The band above 8 kHz must be
  synthesised.
- ``no-speech``: noise, music, coloured noise, hum and tones at -60 to -20 dB.

The mean that ``benchmarks/quality.py`` reports excludes these conditions.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import torch
from quality_clips import (
    RATE,
    degrade_clip,
    load_clip,
    save_row,
    sources,
)

from miipher2.dataio.audio import read_audio, resample
from miipher2.dataio.bandwidth import measure_bandwidth
from miipher2.dataio.speech_level import active_samples, mean_power
from miipher2.degrade import (
    Chain,
    ColouredNoise,
    Hum,
    Noise,
    Reverb,
    generator,
)
from miipher2.evaluation.compare import find_delay, remove_delay

WIDE_RATE = 24000
FULL_BAND_HZ = 11000  # minimum bandwidth of recordings at 24 kHz
UPPER_BAND_HZ = (8200, 11000)
N_FFT = 768
SILENT_DB = -120.0
NO_SPEECH_SECONDS = 5
NO_SPEECH_DB = (-60.0, -20.0)
NO_SPEECH = ("noise", "music", "coloured", "hum", "tone")
EXTRA = ("wideband", "upper-band", "no-speech")
EXTRA_COLUMNS = {
    "upper_level": "level above 8 kHz, dB relative to clean",
    "upper_lsd": "LSD dB above 8 kHz",
    "speech_share": "% of the time with speech (Silero VAD)",
    "level_change": "level, dB relative to the input",
}


def has_full_band(path):
    """Return whether a recording has speech up to ``FULL_BAND_HZ``."""
    wav = read_audio(path, WIDE_RATE).numpy()
    return measure_bandwidth(wav, WIDE_RATE) >= FULL_BAND_HZ


def write_wide_clip(output, file, data, held_out, folder, seed):
    """Write a ``wideband`` and an ``upper-band`` clip; return their rows."""
    path = data / file["path"]
    clean = load_clip(path, WIDE_RATE)
    listed = sources(data, held_out, file["speaker"], folder)
    noise = Noise(listed["noise"], snr_db=(0.0, 15.0), sample_rate=WIDE_RATE)
    reverb = Reverb(listed["rirs"], sample_rate=WIDE_RATE)
    steps = {"reverb": (0.5, reverb), "noise": (1.0, noise)}
    chains = {"wideband": Chain(steps, 2, 0.0, WIDE_RATE)}
    keys = seed, "wideband", path.stem
    target, noisy, drawn = degrade_clip(chains, clean, keys, WIDE_RATE)
    narrow = torch.from_numpy(resample(clean.numpy(), WIDE_RATE, RATE))
    return [
        save_row(
            output,
            "wideband",
            file,
            {"input": (noisy, WIDE_RATE), "clean": (target, WIDE_RATE)},
            drawn=drawn,
        ),
        save_row(
            output,
            "upper-band",
            file,
            {"input": (narrow, RATE), "clean": (clean, WIDE_RATE)},
        ),
    ]


def write_no_speech(output, data, held_out, folder, count, seed):
    """Write clips without speech; their clean versions equal the inputs."""
    listed = sources(data, held_out, "", folder)
    noises = {
        "noise": Noise(listed["noise"]),
        "music": Noise(listed["music"]),
        "coloured": ColouredNoise(),
        "hum": Hum(),
    }
    rows = []
    for index in range(count):
        rng = generator(seed, "no-speech", index)
        kind = NO_SPEECH[index % len(NO_SPEECH)]
        length = NO_SPEECH_SECONDS * RATE
        if kind == "tone":
            hz = float(rng.uniform(200.0, 2000.0))
            wav = np.sin(2 * np.pi * hz / RATE * np.arange(length))
            drawn = {"tone": hz}
        else:
            wav, drawn = noises[kind].noise(length, rng)
        level_db = float(rng.uniform(*NO_SPEECH_DB))
        gain = 10 ** (level_db / 20) / max(mean_power(wav) ** 0.5, 1e-9)
        wav = torch.from_numpy((gain * wav).astype(np.float32)).clamp(-1, 1)
        file = {"path": f"{kind}_{index:02d}", "speaker": "none"}
        drawn = {"steps": [{"name": kind, "level_db": level_db, **drawn}]}
        sides = {"input": (wav, RATE), "clean": (wav, RATE)}
        rows.append(save_row(output, "no-speech", file, sides, drawn=drawn))
    return rows


def extra_scores(condition, recording, source, clean):
    """Return the scores that only the additional conditions have."""
    if condition == "no-speech":
        return no_speech(recording, source)
    if condition in EXTRA:
        return upper_band(recording, clean)
    return {}


def upper_band(recording, clean):
    """Compare a recording with the clean recording in the band above 8 kHz.

    Arguments
    ---------
    recording, clean : str or Path
        The two files.

    Returns
    -------
    dict
        ``upper_level`` and ``upper_lsd`` over the frames of active speech.
    """
    wav, target = (read_audio(p, WIDE_RATE).numpy() for p in (recording, clean))
    wav = remove_delay(wav, find_delay(wav, target, WIDE_RATE) or 0)
    length = min(len(wav), len(target))
    found, expected = (_spectrum(x[:length]) for x in (wav, target))
    hop = N_FFT // 2
    active = active_samples(target[:length], WIDE_RATE)
    active = active[hop::hop][: len(expected)]
    level, lsd = (
        10 * np.log10(found[active].mean() / expected[active].mean()),
        10 * np.log10(found[active] / expected[active]),
    )
    lsd = np.sqrt(np.mean(lsd**2, axis=1)).mean()
    return {"upper_level": float(level), "upper_lsd": float(lsd)}


def _spectrum(wav):
    """Return the power ``(frames, bins)`` of the bins in ``UPPER_BAND_HZ``."""
    frames = np.lib.stride_tricks.sliding_window_view(wav, N_FFT)
    frames = frames[:: N_FFT // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT))) ** 2
    hz = np.fft.rfftfreq(N_FFT, 1 / WIDE_RATE)
    low, high = UPPER_BAND_HZ
    return power[:, (hz > low) & (hz < high)] + 1e-9


def no_speech(recording, source):
    """Measure the output of a system for a recording without speech.

    Arguments
    ---------
    recording, source : str or Path
        The output and the input.

    Returns
    -------
    dict
        ``speech_share`` in percent (NaN if faster-whisper is not installed) and
        ``level_change`` in dB.
    """
    wav, original = (read_audio(p, RATE).numpy() for p in (recording, source))
    change = _level_db(wav) - _level_db(original)
    return {"speech_share": speech_share(wav), "level_change": change}


def speech_share(wav):
    """Return the percentage of speech in a 16 kHz waveform (Silero VAD)."""
    try:
        from faster_whisper.vad import get_speech_timestamps
    except ImportError:
        return float("nan")
    found = get_speech_timestamps(wav)
    return 100 * sum(span["end"] - span["start"] for span in found) / len(wav)


def _level_db(wav):
    return 10 * float(np.log10(mean_power(wav) + 10 ** (SILENT_DB / 10)))
