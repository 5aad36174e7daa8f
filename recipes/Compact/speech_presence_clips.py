"""Random clips with and without speech, to fit and evaluate a speech detector.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

import numpy as np
import torch
from pack import is_music

from miipher2.dataio.audio import read_audio
from miipher2.dataio.hparams import load_yaml
from miipher2.dataio.manifests import write_manifest
from miipher2.dataio.speech_level import active_samples
from miipher2.degrade.command import DEFAULT_CHAIN

RATE = 16000
SECONDS = 4


def degradations(data, selected, split, folder):
    """Return the training degradation chain without the babble and music steps.

    Arguments
    ---------
    data : Path
        Folder of the recordings.
    selected : dict
        Result of ``pack.select``.
    split : str
        ``train`` or ``valid``.
    folder : str or Path
        Output folder for the manifests of noise and impulse responses.

    Returns
    -------
    miipher2.degrade.Chain
        The degradation chain.
    """
    overrides = {"sample_rate": RATE}
    for kind in ("noise", "rir"):
        path = Path(folder, f"{kind}_{split}.csv")
        rows = [
            {
                "ID": row["path"],
                "duration": float(row["seconds"]),
                "wav": f"$data_root/{row['path']}",
                "spk_id": "x",
            }
            for row in selected[kind, split]
        ]
        write_manifest(path, rows)
        overrides[f"{kind}_csv"] = str(path)
        overrides[f"{kind}_root"] = str(data)
    return load_yaml(DEFAULT_CHAIN, overrides)["chain"]


def generated_noise(rng, length):
    """Generate noise, tones, hum or chords.

    Arguments
    ---------
    rng : numpy.random.Generator
        Random number generator.
    length : int
        Number of samples.

    Returns
    -------
    numpy.ndarray
        The samples ``(length,)``.
    """
    time = np.arange(length) / RATE
    kind = rng.choice(["noise", "tones", "hum", "chords"])
    if kind == "noise":
        spectrum = np.fft.rfft(rng.standard_normal(length))
        slope = np.arange(1.0, len(spectrum) + 1) ** rng.uniform(-1.2, 0.5)
        return np.fft.irfft(spectrum * slope, length)
    if kind == "tones":
        tones = rng.uniform(60, 3000, rng.integers(1, 5))
        levels = rng.random(len(tones)) + 0.1
        return np.sin(2 * np.pi * time[:, None] * tones) @ levels
    harmonics = np.arange(1, rng.integers(3, 25))
    if kind == "hum":
        pitch = rng.choice([50, 60]) * harmonics
        levels = harmonics ** -rng.uniform(0.3, 1.5)
        return np.sin(2 * np.pi * time[:, None] * pitch) @ levels
    chord, seconds = np.zeros(length), rng.uniform(0.15, 2.0)
    decay = rng.uniform(0, 4)
    for start in range(0, length, round(seconds * RATE)):
        elapsed = time[: length - start]
        root = 55 * 2 ** (rng.integers(0, 37) / 12)
        for semitones in rng.choice([(0, 4, 7), (0, 3, 7), (0, 7, 12)]):
            pitch = root * 2 ** (semitones / 12) * harmonics
            pitch = pitch[pitch < RATE / 2]
            levels = harmonics[: len(pitch)] ** -1.2
            tone = np.sin(2 * np.pi * elapsed[:, None] * pitch) @ levels
            tone *= np.exp(-decay * elapsed) * (elapsed < seconds)
            chord[start:] += tone
    return chord


def read_segment(path, rng):
    """Read a random segment of a recording, at most ``SECONDS`` long."""
    samples = read_audio(path, RATE)
    extra = len(samples) - SECONDS * RATE
    start = rng.integers(extra) if extra > 0 else 0
    return samples[start:][: SECONDS * RATE]


def clip(data, rows, chain, rng):
    """Return a random clip and the labels of its samples.

    ``chain`` is applied to all clips of speech and to half of the clips without
    speech.

    Arguments
    ---------
    data : Path
        Folder of the recordings.
    rows : list of dict
        Manifest rows of speech or of noise. Half of the noise clips are
        generated instead of read.
    chain : miipher2.degrade.Chain
        The degradation chain.
    rng : numpy.random.Generator
        Random number generator.

    Returns
    -------
    samples : torch.Tensor
        The clip ``(time,)``.
    active : numpy.ndarray
        ``(time,)`` bool, True for samples with speech.
    """
    row = rows[rng.integers(len(rows))]
    is_speech = row["path"].startswith("speech")
    if is_speech or rng.random() < 0.5:
        samples = read_segment(data / row["path"], rng)
    else:
        noise = generated_noise(rng, SECONDS * RATE)
        samples = torch.from_numpy(noise).float()
    samples = samples / samples.abs().max().clamp(min=1e-6)
    samples = samples * 10 ** (-rng.uniform(3, 50) / 20)
    if not is_speech:
        if rng.random() < 0.5:
            samples = chain(samples, rng)[0]
        return samples, np.zeros(len(samples), dtype=bool)
    target, noisy, _ = chain.pair(samples, rng)
    return noisy, active_samples(target.numpy(), RATE)


def with_more_music(rows):
    """Repeat music so that it makes up about half of the noise rows.

    Music is the noise that is most similar to speech.

    Arguments
    ---------
    rows : list of dict
        Manifest rows of noise, or of speech, which are returned unchanged.

    Returns
    -------
    list of dict
        The rows with repetitions.

    Example
    -------
    >>> rows = [{"path": f"{name}.wav"} for name in ("rain", "car", "music_a")]
    >>> [row["path"] for row in with_more_music(rows)]
    ['rain.wav', 'car.wav', 'music_a.wav', 'music_a.wav']
    """
    music = [row for row in rows if is_music(row["path"])]
    if not music:
        return rows
    return rows + music * ((len(rows) - len(music)) // len(music) - 1)
