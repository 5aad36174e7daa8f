"""Write the manifests of the 24 kHz model; measure the bandwidth of speech.

    python recipes/Whisper24/whisper24_prepare.py DATA OUT

DATA contains ``manifest.csv`` (path, seconds, speaker, split, licence), clean
speech in ``speech*``, noise in ``noise`` and room impulse responses in ``rir``.
The script writes ``train.csv``, ``valid.csv``, ``test.csv``, ``noise.csv``,
``music.csv``, ``noise_valid.csv``, ``rir.csv`` and ``rir_valid.csv`` to OUT.
``music.csv`` contains the rows of ``noise.csv`` for files named ``music_*``; it
is not written if there are none. Files licensed only under the GPL are
excluded. The number of rows per recording is the same as in
``recipes/Compact/pack.py``. Measuring the bandwidth takes about 20 s per hour
of speech.

Authors
 * The miipher2 authors 2026
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from miipher2.dataio.bandwidth import measure_bandwidth
from miipher2.dataio.manifests import write_manifest
from miipher2.errors import one_line_errors

sys.path.append(str(Path(__file__).resolve().parents[1] / "Compact"))

from denoise_targets import read_unresampled  # noqa: E402
from pack import MANIFESTS, is_music, repetitions, select  # noqa: E402


def bandwidth_of(path):
    """Return the bandwidth of a file in Hz, measured at its own sample rate."""
    return measure_bandwidth(*read_unresampled(path))


def manifest_rows(key, selected, data):
    """Return the rows of a manifest.

    Arguments
    ---------
    key : tuple of str
        Kind and split, a key of ``pack.MANIFESTS``.
    selected : list of dict
        Rows of ``manifest.csv``.
    data : Path
        Folder of the recordings.

    Returns
    -------
    list of dict
        Rows for ``write_manifest``.
    """
    rows = []
    pairs = list(zip(selected, repetitions(key, selected), strict=True))
    for recording, count in tqdm(pairs, " ".join(key), disable=None):
        path = recording["path"]
        row = {
            "duration": float(recording["seconds"]),
            "wav": f"$data_root/{path}",
            "spk_id": recording["speaker"] or "x",
        }
        if key[0] == "speech":
            row["bandwidth"] = round(bandwidth_of(data / path))
        name = path.rsplit(".", 1)[0].replace("/", "-")
        names = [name, *(f"{name}-again{n}" for n in range(1, count))]
        rows += [{"ID": ID, **row} for ID in names]
    return rows


def main(argv=None):
    """Write the manifests."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    parser.add_argument("out", type=Path, help="output folder")
    options = parser.parse_args(argv)
    with one_line_errors():
        selected = select(options.data)
        for key, names in MANIFESTS.items():
            rows = manifest_rows(key, selected[key], options.data)
            for name in names:
                write_manifest(options.out / f"{name}.csv", rows)
            if key == ("noise", "train"):
                music = [row for row in rows if is_music(row["wav"])]
                if music:
                    write_manifest(options.out / "music.csv", music)
            hours = sum(row["duration"] for row in rows) / 3600
            print(f"{', '.join(names)}: {len(rows)} rows, {hours:.2f} h")


if __name__ == "__main__":
    main()
