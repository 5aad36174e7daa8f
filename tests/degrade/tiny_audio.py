"""Synthetic speech, noise and impulse responses, and their manifests.

Authors
 * The miipher2 authors 2026
"""

import csv

import numpy as np
import soundfile
import torch
from scipy import signal

RATE = 16000


def speech_like(seed, seconds=3.0, rate=RATE):
    """Return float32 syllables with pauses; the active level is near -26 dB."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 120 * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * time + seed))
    voiced = signal.sawtooth(2 * np.pi * np.cumsum(pitch) / rate)
    breath = 0.3 * rng.standard_normal(len(time))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, None) ** 0.5
    pause = (time % 1.5) < 1.1
    wave = 0.1 * (voiced + breath) * syllables * pause
    return wave.astype(np.float32)


def write_manifest_of(folder, clips, rate=RATE):
    """Write clips as FLAC files and their manifest; return the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    with open(manifest, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "duration", "wav", "spk_id"])
        for name, samples in clips.items():
            soundfile.write(folder / f"{name}.flac", samples, rate)
            seconds = len(samples) / rate
            wav = f"$data_root/{name}.flac"
            writer.writerow([name, seconds, wav, name])
    return manifest


def decaying(rt60, seed=0, rate=RATE):
    """Return an impulse response: direct sound at 5 ms, then decaying noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(1.3 * rt60 * rate)) / rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    start = np.zeros(int(0.005 * rate))
    tail = np.concatenate([start, 0.05 * tail])
    tail[len(start)] = 0.9
    return tail.astype(np.float32)


def white_noise(seconds=4.0, seed=0):
    """Return Gaussian noise at -20 dB, a tensor (time,)."""
    rng = np.random.default_rng(seed)
    samples = 0.1 * rng.standard_normal(int(seconds * RATE))
    return torch.from_numpy(samples.astype(np.float32))


def transfer_db(output, source):
    """Return frequencies in Hz and the gain in dB at each frequency."""
    hz, source_power = signal.welch(source.numpy(), RATE, nperseg=1024)
    _, output_power = signal.welch(output.numpy(), RATE, nperseg=1024)
    return hz, 10 * np.log10(output_power / source_power + 1e-20)
