"""Restore ``examples/noisy`` and draw spectrograms of the examples.

Writes ``examples/restored/*.flac`` and ``docs/examples.png``. Run this script
again when the default model changes.

    python benchmarks/example_pictures.py

Authors
 * The miipher2 authors 2026
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from degradation_pictures import draw, spectrogram
from PIL import Image

from miipher2.cli import main as miipher2
from miipher2.dataio.audio import read_audio

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
PICTURE = ROOT / "docs" / "examples.png"
VERSIONS = ("noisy", "restored", "clean")
RATE = 24000
DEGRADATIONS = {
    "valid_001": "reverberation, babble",
    "valid_002": "telephone band, car",
    "valid_003": "reverberation, boat, telephone band",
}


def restore():
    """Write ``examples/restored``; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["restore", str(EXAMPLES / "noisy"), folder]
        code = miipher2([*command, "--format", "flac", "--precision", "fp32"])
        if code:
            return code
        (EXAMPLES / "restored").mkdir(exist_ok=True)
        for path in sorted(Path(folder).glob("*.flac")):
            shutil.copyfile(path, EXAMPLES / "restored" / path.name)
    return 0


def draw_examples():
    """Write ``docs/examples.png``, with one row per recording."""
    figure, grid = plt.subplots(
        len(DEGRADATIONS),
        len(VERSIONS),
        figsize=(11, 2.3 * len(DEGRADATIONS)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for row, (name, text) in zip(grid, DEGRADATIONS.items(), strict=True):
        wavs = {
            version: read_audio(EXAMPLES / version / f"{name}.flac", RATE)
            for version in VERSIONS
        }
        loudest = spectrogram(wavs["clean"], RATE).max()
        for axes, version in zip(row, VERSIONS, strict=True):
            detail = text if version == "noisy" else ""
            title = f"{name}, {version}"
            draw(axes, wavs[version], RATE, loudest, title, detail)
        row[0].set_ylabel("kHz")
    for axes in grid[-1]:
        axes.set_xlabel("s")
    figure.tight_layout()
    # With 128 colours, the PNG file is a third as large.
    file = io.BytesIO()
    figure.savefig(file, dpi=80)
    Image.open(file).convert("RGB").quantize(128).save(PICTURE)


def main():
    """Restore and draw the examples; return the exit code."""
    code = restore()
    if not code:
        draw_examples()
    return code


if __name__ == "__main__":
    sys.exit(main())
