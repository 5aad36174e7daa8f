"""Restore ``examples/noisy`` and draw the spectrograms of all sides.

Writes ``examples/restored/*.flac`` and ``docs/examples.png``. Run it again
after a change of the default model.

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
SIDES = ("noisy", "restored", "clean")
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
    """Write ``docs/examples.png``: rows of recordings, columns of sides."""
    figure, grid = plt.subplots(
        len(DEGRADATIONS),
        len(SIDES),
        figsize=(11, 2.3 * len(DEGRADATIONS)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for row, (name, text) in zip(grid, DEGRADATIONS.items(), strict=True):
        wavs = {
            side: read_audio(EXAMPLES / side / f"{name}.flac", RATE)
            for side in SIDES
        }
        loudest = spectrogram(wavs["clean"], RATE).max()
        for axes, side in zip(row, SIDES, strict=True):
            detail = text if side == "noisy" else ""
            draw(axes, wavs[side], RATE, loudest, f"{name}, {side}", detail)
        row[0].set_ylabel("kHz")
    for axes in grid[-1]:
        axes.set_xlabel("s")
    figure.tight_layout()
    # 128 colours make the PNG a third as large.
    file = io.BytesIO()
    figure.savefig(file, dpi=80)
    Image.open(file).convert("RGB").quantize(128).save(PICTURE)


def main():
    """Restore, draw and return the exit code."""
    code = restore()
    if not code:
        draw_examples()
    return code


if __name__ == "__main__":
    sys.exit(main())
