"""Draw spectrograms of an utterance, clean and with each degradation.

    python benchmarks/degradation_pictures.py CLEAN.flac \\
        docs/degradations.png --noise DIR --music DIR --rirs DIR --speech DIR

Authors
 * The miipher2 authors 2026
"""

import argparse
import io
import tempfile

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy import signal

from miipher2.dataio.audio import read_audio
from miipher2.degrade import generator
from miipher2.degrade.command import DEFAULT_CHAIN, add_corpora
from miipher2.degrade.run import load_chain
from miipher2.errors import one_line_errors

COLUMNS = 4
RANGE_DB = 80.0


def caption(parameters):
    """Format up to three parameters of a degradation as one line."""
    parts = []
    for key, value in parameters.items():
        if key in ("name", "noise", "rir", "target", "threshold", "gains_db"):
            continue
        if isinstance(value, list):
            value = len(value)
        if isinstance(value, float):
            value = f"{value:.3g}"
        parts.append(f"{key} {value}")
    return ", ".join(parts[:3])


def spectrogram(wav, rate):
    """Return the power spectrogram ``(frequency, time)`` in dB."""
    window = round(0.025 * rate)
    _, _, power = signal.spectrogram(
        wav.numpy(),
        rate,
        nperseg=window,
        noverlap=window * 3 // 4,
        nfft=1024,
        detrend=False,
    )
    return 10 * np.log10(power + 1e-14)


def draw(axes, wav, rate, loudest, title, text):
    """Draw a spectrogram; its colours cover the 80 dB below ``loudest``."""
    axes.imshow(
        spectrogram(wav, rate),
        origin="lower",
        aspect="auto",
        extent=(0, len(wav) / rate, 0, rate / 2000),
        vmin=loudest - RANGE_DB,
        vmax=loudest,
        cmap="magma",
    )
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold", pad=14)
    axes.text(0, 1.02, text, transform=axes.transAxes, fontsize=7)


def main():
    """Parse the command line and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clean", help="recording of clean speech")
    parser.add_argument("picture", help="PNG file to write")
    parser.add_argument(
        "--seconds", type=float, default=3.5, help="duration to show"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    add_corpora(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chain = load_chain(DEFAULT_CHAIN, arguments, folder)
        rate = chain.sample_rate
        clean = read_audio(arguments.clean, rate, seconds=arguments.seconds)
        pictures = [(clean, "clean", "")]
        for name in chain.names:
            rng = generator(arguments.seed, name)
            noisy, metadata = chain.only(name)(clean, rng)
            pictures.append((noisy, name, caption(metadata["steps"][0])))
    loudest = spectrogram(clean, rate).max()
    rows = -(-len(pictures) // COLUMNS)
    figure, grid = plt.subplots(
        rows, COLUMNS, figsize=(13, 2.6 * rows), sharex=True, sharey=True
    )
    for axes, picture in zip(grid.flat, pictures, strict=False):
        wav, title, text = picture
        draw(axes, wav, rate, loudest, title, text)
    for axes in grid.flat[len(pictures) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("s")
    for axes in grid[:, 0]:
        axes.set_ylabel("kHz")
    figure.tight_layout()
    # With 128 colours, the PNG file is a third as large.
    file = io.BytesIO()
    figure.savefig(file, dpi=80)
    Image.open(file).convert("RGB").quantize(128).save(arguments.picture)


if __name__ == "__main__":
    with one_line_errors():
        main()
