"""Validation clips as audio files and pictures.

Authors
 * The miipher2 authors 2026
"""

from typing import NamedTuple

import numpy as np
import torch

from miipher2.dataio.audio import write_audio
from miipher2.dataio.output_names import portable_name

WINDOW_SECONDS = 0.04  # length of the STFT window
RANGE_DB = 80.0  # range of levels shown below the loudest bin
DEVIATIONS = 3.0  # largest feature shown, in standard deviations


class ShownClip(NamedTuple):
    """A validation clip.

    Arguments
    ---------
    wavs : dict
        Waveforms ``(time,)`` by version of the clip: ``target`` and, if
        available, ``input`` and ``predicted``.
    sample_rate : int
        Sample rate of the waveforms in Hz.
    features : dict
        Features ``(frames, width)`` by version, for a stage that predicts
        features. If None, the picture shows spectrograms.
    """

    wavs: dict
    sample_rate: int
    features: dict | None = None

    def picture(self):
        """Draw all versions one below the other, with the same scale.

        Returns
        -------
        numpy.ndarray
            RGB image ``(height, width, 3)``, uint8.
        """
        if self.features is None:
            maps, limits = spectrograms(self.wavs, self.sample_rate)
            top, label, unit = self.sample_rate / 2000, "kHz", "dB"
        else:
            maps, limits = normalised(self.features)
            top, label = len(maps["target"]), "feature"
            unit = "standard deviations"
        seconds = len(self.wavs["target"]) / self.sample_rate
        return draw(maps, limits, (0, seconds, 0, top), label, unit)


def spectrograms(wavs, sample_rate):
    """Return spectrograms in dB.

    Arguments
    ---------
    wavs : dict
        Waveforms ``(time,)`` by name.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    maps : dict
        Arrays ``(bins, frames)`` by name.
    limits : tuple
        Lowest and highest value to show, for all arrays.
    """
    size = int(WINDOW_SECONDS * sample_rate) // 2 * 2
    maps = {}
    for name, wav in wavs.items():
        spectrum = torch.stft(
            wav.float(),
            size,
            size // 4,
            window=torch.hann_window(size),
            return_complex=True,
            pad_mode="constant",
        )
        maps[name] = (20 * spectrum.abs().clamp(min=1e-5).log10()).numpy()
    highest = max(values.max() for values in maps.values())
    return maps, (highest - RANGE_DB, highest)


def normalised(features):
    """Normalise features by the mean and standard deviation of the target.

    Every dimension is normalised separately, because a few dimensions of an
    encoder may have much larger values than the others.

    Arguments
    ---------
    features : dict
        Features ``(frames, width)`` by version, including ``target``.

    Returns
    -------
    maps : dict
        Arrays ``(width, frames)`` by version.
    limits : tuple
        Lowest and highest value to show.
    """
    mean = features["target"].mean(dim=0)
    deviation = features["target"].std(dim=0, correction=0).clamp(min=1e-5)
    maps = {
        version: ((values - mean) / deviation).T.numpy()
        for version, values in features.items()
    }
    return maps, (-DEVIATIONS, DEVIATIONS)


def draw(maps, limits, extent, label, unit):
    """Draw arrays as images, one below the other.

    Arguments
    ---------
    maps : dict
        Arrays ``(height, width)`` by title.
    limits : tuple
        Lowest and highest value of the colour bar.
    extent : tuple
        Left, right, bottom and top of the axes; the x axis is in seconds.
    label, unit : str
        Labels of the y axis and of the colour bar.

    Returns
    -------
    numpy.ndarray
        RGB image ``(height, width, 3)``, uint8.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.1 * len(maps)), layout="constrained", dpi=90)
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(maps), sharex=True, squeeze=False)[:, 0]
    for axes, (title, values) in zip(panels, maps.items(), strict=True):
        image = axes.imshow(
            values,
            origin="lower",
            aspect="auto",
            extent=extent,
            vmin=limits[0],
            vmax=limits[1],
            cmap="magma",
        )
        axes.set_title(title, loc="left", fontsize="medium")
        axes.set_ylabel(label)
    panels[-1].set_xlabel("s")
    figure.colorbar(image, ax=list(panels), label=unit, aspect=40)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def valid_part(batches, index, length):
    """Return one clip of padded batches without its padding, on the CPU.

    Arguments
    ---------
    batches : dict
        Tensors ``(batch, time, ...)`` by name.
    index : int
        Index of the clip in the batch.
    length : float
        Relative length of the clip.

    Returns
    -------
    dict
        Tensors ``(time, ...)`` in float32, by name.

    Example
    -------
    >>> valid_part({"input": torch.tensor([[1.0, 2.0], [3.0, 0.0]])}, 1, 0.5)
    {'input': tensor([3.])}
    """
    return {
        name: batch[index, : round(length * batch.shape[1])].float().cpu()
        for name, batch in batches.items()
    }


def write_clips(folder, clips):
    """Write all versions of all clips as ``<clip>_<version>.wav``.

    Arguments
    ---------
    folder : Path
        Output folder, created if needed.
    clips : dict
        ``ShownClip`` by name.
    """
    for name, clip in clips.items():
        stem = portable_name(name)
        for version, wav in clip.wavs.items():
            write_audio(folder / f"{stem}_{version}.wav", wav, clip.sample_rate)
