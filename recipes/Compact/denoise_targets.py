#!/usr/bin/env python3
"""Denoise the target recordings of a training manifest.

    python recipes/Compact/denoise_targets.py train.csv OUT --data-root DATA

Recordings of clean speech contain some background noise, which a model learns
to reproduce. This script writes a copy of every recording, with stationary
noise reduced by up to 12 dB, to the new folder OUT. It also writes
``OUT/manifest.csv``, which lists the copies in the column ``target_wav``, for
training with ``--skip_prep=True --train_csv=OUT/manifest.csv``. The training
input is still the degraded original. The target is the original if neither
noise nor reverberation was added, and the copy otherwise.

Authors
 * The miipher2 authors 2026
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
import torch
from scipy import ndimage, signal
from tqdm import tqdm

from miipher2.dataio.audio import read_audio, write_audio
from miipher2.dataio.manifests import COLUMNS, read_manifest, write_manifest
from miipher2.errors import UserError, one_line_errors

WINDOW_SECONDS = 0.032
NOISE_PERCENTILE = 15  # percentile of a bin's power over time
BIAS = 1.3  # ratio of the mean noise power to this percentile
OVERSUBTRACTION = 2.0  # multiple of the noise power that is subtracted
MIN_GAIN = 10 ** (-12 / 10)  # minimum gain of a bin's power


def reduce_noise(samples, sample_rate):
    """Reduce stationary noise by spectral subtraction (Boll 1979).

    The noise power of a bin is estimated from a low percentile of its power
    over time.

    Arguments
    ---------
    samples : numpy.ndarray
        ``(time,)``.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    numpy.ndarray
        Denoised samples ``(time,)``.

    Example
    -------
    >>> noise = np.random.default_rng(0).standard_normal(16000)
    >>> tone = np.sin(np.arange(16000) / 3) * (np.arange(16000) > 8000)
    >>> denoised = reduce_noise(0.001 * noise + tone, 16000)
    >>> f"{20 * np.log10(denoised[:7000].std() / 0.001):.0f} dB"
    '-11 dB'
    >>> bool(abs(denoised - tone)[9000:15000].max() < 0.01)
    True
    """
    size = round(WINDOW_SECONDS * sample_rate)
    if len(samples) < size:
        return samples
    stft = {"fs": sample_rate, "nperseg": size, "noverlap": size - size // 4}
    _, _, spectra = signal.stft(samples, **stft)
    power = ndimage.uniform_filter(np.abs(spectra) ** 2, (3, 5))
    noise = BIAS * np.percentile(power, NOISE_PERCENTILE, axis=1, keepdims=True)
    gain = 1 - OVERSUBTRACTION * noise / np.maximum(power, 1e-20)
    gain = ndimage.uniform_filter(np.maximum(gain, MIN_GAIN) ** 0.5, 3)
    _, denoised = signal.istft(gain * spectra, **stft)
    return denoised[: len(samples)]


def main(argv=None):
    """Write the denoised copies and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("manifest", type=Path, help="training manifest")
    parser.add_argument("out", type=Path, help="new folder for the copies")
    parser.add_argument(
        "--data-root", default="", help="value of $data_root in the manifest"
    )
    options = parser.parse_args(argv)
    with one_line_errors():
        rows = read_manifest(options.manifest, options.data_root, COLUMNS)
        folder = options.out.absolute()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(
                f"{folder}: already exists; choose a different folder"
            )
        copies, denoised_rows = {}, []
        for row in tqdm(rows, unit="row", disable=None):
            wav = str(Path(row["wav"]).absolute())
            if wav not in copies:  # a recording can have several rows
                samples, rate = read_unresampled(wav)
                copies[wav] = folder / f"{len(copies)}.flac"
                denoised = torch.from_numpy(reduce_noise(samples, rate))
                write_audio(copies[wav], denoised.clamp(-1, 1), rate)
            columns = {
                name: row[name]
                for name in (*COLUMNS, "bandwidth")
                if name in row
            }
            target = str(copies[wav])
            denoised_rows.append({**columns, "wav": wav, "target_wav": target})
        write_manifest(folder / "manifest.csv", denoised_rows)
        print(f"{len(copies)} files: {folder / 'manifest.csv'}")


def read_unresampled(path):
    """Return the samples ``(time,)`` and the sample rate in Hz of a file."""
    try:
        rate = soundfile.info(str(path)).samplerate
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: cannot be read as audio: {error}") from None
    return read_audio(path, rate).numpy(), rate


if __name__ == "__main__":
    main()
