#!/usr/bin/env python3
"""Takes the noise of their rooms out of the recordings to be given back.

    python recipes/Compact/quiet.py train.csv OUT --data-root DATA

What counts as clean speech has been recorded somewhere: a model that is to
give it back learns to give back the hum of the room as well. OUT, a new folder,
gets a copy of every recording with what is always there up to 12 dB quieter, and
``manifest.csv`` for ``--skip_prep=True --train_csv``, which has these copies in
the column ``target_wav``; what is degraded is the recording itself, and where no
noise is added, its own stays.

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
STEADY = 15  # percent of the frames that are taken for the room's noise alone
BIAS = 1.3  # of such a percentile to the mean of the noise
OVER = 2.0  # times the noise is taken away
LEAST = 10 ** (-12 / 10)  # of the power of a bin that stays


def quieter(samples, sample_rate):
    """Spectral subtraction (Boll 1979) of steady noise.

    The noise in each bin is a low percentile of its power over time.

    Arguments
    ---------
    samples : numpy.ndarray
        ``(time,)``.
    sample_rate : int
        In Hz.

    Returns
    -------
    numpy.ndarray
        The same length.

    Example
    -------
    >>> hum = np.random.default_rng(0).standard_normal(16000)
    >>> tone = np.sin(np.arange(16000) / 3) * (np.arange(16000) > 8000)
    >>> hummed = quieter(0.001 * hum + tone, 16000)
    >>> f"{20 * np.log10(hummed[:7000].std() / 0.001):.0f} dB"
    '-11 dB'
    >>> bool(abs(hummed - tone)[9000:15000].max() < 0.01)
    True
    """
    size = round(WINDOW_SECONDS * sample_rate)
    if len(samples) < size:
        return samples
    how = {"fs": sample_rate, "nperseg": size, "noverlap": size - size // 4}
    _, _, spectra = signal.stft(samples, **how)
    power = ndimage.uniform_filter(np.abs(spectra) ** 2, (3, 5))
    noise = BIAS * np.percentile(power, STEADY, axis=1, keepdims=True)
    left = 1 - OVER * noise / np.maximum(power, 1e-20)
    gain = ndimage.uniform_filter(np.maximum(left, LEAST) ** 0.5, 3)
    _, cleaned = signal.istft(gain * spectra, **how)
    return cleaned[: len(samples)]


def main(argv=None):
    """Writes the copies and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("manifest", type=Path, help="ID, duration, wav, spk_id")
    parser.add_argument("out", type=Path, help="new folder for the copies")
    parser.add_argument(
        "--data-root", default="", help="what $data_root stands for in it"
    )
    options = parser.parse_args(argv)
    with one_line_errors():
        rows = read_manifest(options.manifest, options.data_root, COLUMNS)
        folder = options.out.absolute()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder}: there already; give a new folder")
        copies, quieted = {}, []
        for row in tqdm(rows, unit="row", disable=None):
            wav = str(Path(row["wav"]).absolute())
            if wav not in copies:  # one that comes again has its copy
                samples, rate = read_own_rate(wav)
                copies[wav] = folder / f"{len(copies)}.flac"
                cleaned = torch.from_numpy(quieter(samples, rate))
                write_audio(copies[wav], cleaned.clamp(-1, 1), rate)
            columns = {name: row[name] for name in COLUMNS}
            target = str(copies[wav])
            quieted.append({**columns, "wav": wav, "target_wav": target})
        write_manifest(folder / "manifest.csv", quieted)
        print(f"{len(copies)} files: {folder / 'manifest.csv'}")


def read_own_rate(path):
    """A file's samples ``(time,)`` and its rate in Hz."""
    try:
        rate = soundfile.info(str(path)).samplerate
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: cannot be read as sound: {error}") from None
    return read_audio(path, rate).numpy(), rate


if __name__ == "__main__":
    main()
