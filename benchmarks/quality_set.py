"""Fixed set of degraded speech for ``benchmarks/quality.py``.

Authors
 * The miipher2 authors 2026
"""

import argparse
import tempfile
from pathlib import Path

from quality_clips import (
    LOSS,
    RATE,
    choose,
    clip_name,
    degrade_clip,
    held_out_queues,
    load_clip,
    save_row,
    sources,
)
from quality_extra import (
    has_full_band,
    write_no_speech,
    write_wide_clip,
)
from tqdm import tqdm

from miipher2.dataio.tables import read_table, write_table
from miipher2.degrade import (
    Babble,
    Bandwidth,
    Chain,
    Clipping,
    Codec,
    Noise,
    PacketLoss,
    Reverb,
)
from miipher2.degrade.command import DEFAULT_CHAIN
from miipher2.degrade.run import load_chain
from miipher2.errors import UserError

COLUMNS = (
    "condition",
    "clip",
    "speaker",
    "source",
    "seconds",
    "cutoff_hz",
    "drawn",
)
DEGRADED = (
    "noise",
    "babble",
    "reverb",
    "band-limit",
    "codec",
    "clipping",
    "packet-loss",
    "mixed",
)
# Steps of the ``mixed`` condition. ``level`` is left out, because
# ``degrade_clip`` restores the level; ``calls`` and ``knocks`` are left out,
# because they were added to the chain after this test set was defined.
MIXED = (
    "reverb",
    "noise",
    "music",
    "babble",
    "coloured",
    "microphone",
    "hum",
    "offset",
    "flutter",
    "clipping",
    "quantisation",
    "bandwidth",
    "codec",
    "network",
)
# Steep filters, and the only resampler that does not alias
STEEP = ("butter", "cheby1", "cheby2", "ellip", "soxr")
LOW_RATES = {
    "mp3": [8, 16],
    "opus": [6, 8],
    "aac": [12, 16],
    "gsm": [13],
    "amr_nb": [4.75, 5.9, 7.4],
}


def make(arguments):
    """Write the test set."""
    data, output = Path(arguments.data), Path(arguments.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output}: already exists; choose a different folder")
    needed = ("path", "seconds", "speaker", "split")
    files = [row for _, row in read_table(data / "manifest.csv", needed)]
    chosen = choose(files, arguments.clips, arguments.seed, data)
    held_out = [row for row in files if row["split"] == "valid"]
    rows = []
    for file in tqdm(chosen, unit="clip", disable=None):
        clean = load_clip(data / file["path"])
        with tempfile.TemporaryDirectory() as folder:
            chains = conditions(data, held_out, file["speaker"], folder)
            rows += write_clip(output, clean, file, chains, arguments.seed)
    speakers = {row["speaker"] for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        rows += make_extra(arguments, output / "extra", files, held_out, folder)
    write_table(output / "set.csv", COLUMNS, rows)
    print(
        f"{len(chosen)} clips of {len(speakers)} speakers, "
        f"{len(DEGRADED)} degradations: {output}"
    )


def make_extra(arguments, output, files, held_out, folder):
    """Write the conditions of ``quality_extra`` and return their rows."""
    data, seed, count = Path(arguments.data), arguments.seed, arguments.clips
    wide = [
        row
        for row in files
        if row["split"] != "valid"
        or row["path"].startswith("speech24/")
        and has_full_band(data / row["path"])
    ]
    found = sum(map(len, held_out_queues(wide).values()))
    rows = []
    for file in choose(wide, min(count, found), seed, data) if found else []:
        rows += write_wide_clip(output, file, data, held_out, folder, seed)
    if not found:
        print(
            "no sufficiently long full-band 24 kHz speech by held-out "
            "speakers; wideband and upper-band are left out"
        )
    return rows + write_no_speech(output, data, held_out, folder, count, seed)


def write_clip(output, clean, file, chains, seed):
    """Write one clip under all conditions and return its rows."""
    clip, rows = clip_name(file), []
    for condition in (*DEGRADED, "clean"):
        target, noisy, drawn = clean, clean, {"steps": []}
        if condition in chains:
            keys = seed, condition, clip
            target, noisy, drawn = degrade_clip(chains, clean, keys)
        cutoff = ""
        if condition == "band-limit":
            cutoff = drawn["steps"][0]["cutoff_hz"]
        sides = {"input": (noisy, RATE), "clean": (target, RATE)}
        rows.append(save_row(output, condition, file, sides, drawn, cutoff))
    return rows


def conditions(data, held_out, speaker, folder):
    """Build the chain of each condition; babble excludes ``speaker``."""
    listed = sources(data, held_out, speaker, folder)
    codec = Codec(LOW_RATES, RATE)
    if len(codec.codecs) < len(LOW_RATES):
        raise UserError("codecs are missing: pip install 'av<19'")
    steps = {
        "noise": Noise(listed["noise"], snr_db=(0.0, 15.0)),
        "babble": Babble(listed["speech"], None, (0.0, 15.0), voices=(6, 9)),
        "reverb": Reverb(listed["rirs"]),
        "band-limit": Bandwidth((2000.0, 4000.0), STEEP, order=(6, 12)),
        "codec": codec,
        "clipping": Clipping(share=(0.03, 0.1)),
        "packet-loss": PacketLoss(loss=LOSS),
    }
    single = Chain({n: (1.0, s) for n, s in steps.items()}, 1, 0.0, RATE)
    mixed = load_chain(DEFAULT_CHAIN, argparse.Namespace(**listed), folder)
    mixed.clean_share = 0.0
    mixed.steps = {name: mixed.steps[name] for name in MIXED}
    mixed.steps["noise"][1].speed = (1.0, 1.0)
    return {**{name: single.only(name) for name in steps}, "mixed": mixed}
