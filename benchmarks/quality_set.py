"""The fixed set of degraded speech that ``benchmarks/quality.py`` scores.

Authors
 * The miipher2 authors 2026
"""

import argparse
import json
import operator
import tempfile
from collections import defaultdict
from pathlib import Path

from tqdm import tqdm

from miipher2.dataio.audio import (
    read_audio,
    write_audio,
)
from miipher2.dataio.manifests import write_manifest
from miipher2.dataio.speech_level import active_samples, mean_power
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
    generator,
)
from miipher2.degrade.command import DEFAULT_CHAIN, load_chain
from miipher2.errors import UserError

RATE = 16000
LEVEL = 10 ** (-26 / 20)
# DNSMOS repeats clips that are shorter than 9.01 s and scores one window for each
# further second: one window of a clip of this length, nine of one of 4.4 s.
SECONDS = (4.6, 5.4)
SPEECH = ("speech", "speech16", "speech24")
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
# Without level, which ``degrade_clip`` restores in any case
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
LOSS = (0.05, 0.2)
# Only filters that leave nothing above the cut-off, not even aliases
STEEP = ("butter", "cheby1", "cheby2", "ellip", "soxr")
LOW_RATES = {
    "mp3": [8, 16],
    "opus": [6, 8],
    "aac": [12, 16],
    "gsm": [13],
    "amr_nb": [4.75, 5.9, 7.4],
}


def make(arguments):
    """Write the set."""
    data, output = Path(arguments.data), Path(arguments.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output}: exists already; give a new folder")
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
    write_table(output / "set.csv", COLUMNS, rows)
    print(
        f"{len(chosen)} clips of {len({r['speaker'] for r in rows})} speakers, "
        f"{len(DEGRADED)} degradations: {output}"
    )


def load_clip(path):
    """Read the start of a recording and set its level."""
    clean = shorten(read_audio(path, RATE))
    if not clean.any():
        raise UserError(f"{path}: silence; remove its row from manifest.csv")
    return clean * min(LEVEL / level(clean), 1 / float(clean.abs().max()))


def write_clip(output, clean, file, chains, seed):
    """Write one clip under all conditions and return its rows."""
    clip, rows = f"{file['speaker']}_{Path(file['path']).stem}", []
    for condition in (*DEGRADED, "clean"):
        target, noisy, drawn = clean, clean, {"steps": []}
        if condition in chains:
            keys = seed, condition, clip
            target, noisy, drawn = degrade_clip(chains, clean, keys)
        for side, wav in (("input", noisy), ("clean", target)):
            write_audio(output / condition / side / f"{clip}.wav", wav, RATE)
        cutoff = ""
        if condition == "band-limit":
            cutoff = drawn["steps"][0]["cutoff_hz"]
        rows.append(
            {
                "condition": condition,
                "clip": clip,
                "speaker": file["speaker"],
                "source": file["path"],
                "seconds": f"{len(clean) / RATE:.3f}",
                "cutoff_hz": cutoff,
                "drawn": json.dumps(drawn),
            }
        )
    return rows


def level(wav):
    """Return the root mean square of the active samples, without offset.

    Training and restoring use ``SpeechLevel`` instead. This measure stays, since
    another one would change the set.
    """
    samples = wav.numpy() - wav.numpy().mean()
    return mean_power(samples[active_samples(samples, RATE)]) ** 0.5


def shorten(wav):
    """Return the start of a recording, cut where it is quietest."""
    shortest, longest = (round(seconds * RATE) for seconds in SECONDS)
    if len(wav) <= longest:
        return wav
    frame = RATE // 50
    power = wav[shortest:longest].unfold(0, frame, frame).square().sum(1)
    return wav[: shortest + frame * int(power.argmin()) + frame // 2]


def degrade_clip(chains, clean, keys):
    """Return target, degraded clip at the target's level, and the draw."""
    _, condition, _ = keys
    for attempt in range(1000):
        rng = generator(*keys, attempt)
        target, noisy, drawn = chains[condition].pair(clean, rng)
        if is_valid(condition, drawn["steps"]):
            break
    else:
        raise UserError(f"{condition}: too few voices or too short a clip")
    gain = level(target) / level(noisy)
    gain = min(gain, 0.99 / float(noisy.abs().max()))
    return target, gain * noisy, {**drawn, "gain": drawn["gain"] * gain}


def is_valid(condition, steps):
    """Return whether a draw fits its condition."""
    if condition == "mixed":
        return len(steps) > 1
    if condition == "babble":
        return len(steps[0]["voices"]) >= 4
    if condition == "packet-loss":
        return LOSS[0] <= steps[0]["lost"] <= LOSS[1]
    return True


def choose(files, count, seed, data):
    """Choose clips evenly from the speakers that are not in training."""
    speech = [row for row in files if row["path"].split("/")[0] in SPEECH]
    trained = {row["speaker"] for row in speech if row["split"] != "valid"}
    rng, queues = generator(seed, "clips"), defaultdict(list)
    for row in sorted(speech, key=operator.itemgetter("path")):
        long = float(row["seconds"]) >= SECONDS[0]
        if long and row["speaker"] not in trained:
            queues[row["speaker"]].append(row)
    found = sum(map(len, queues.values()))
    if not 0 < count <= found:
        raise UserError(
            f"{data}: --clips {count}, but there are {found} of at least "
            f"{SECONDS[0]:g} s by speakers who are only in valid"
        )
    queues = {s: rng.permutation(queue).tolist() for s, queue in queues.items()}
    chosen = []
    while len(chosen) < count:
        left = sorted(speaker for speaker, queue in queues.items() if queue)
        for speaker in rng.permutation(left)[: count - len(chosen)]:
            chosen.append(queues[speaker].pop())
    return sorted(chosen, key=operator.itemgetter("path"))


def conditions(data, held_out, speaker, folder):
    """Build the chain of each condition, with babble without ``speaker``."""
    sources = {"noise": [], "music": [], "rirs": [], "speech": []}
    for row in held_out:
        kind = row["path"].split("/")[0]
        if kind == "noise" and Path(row["path"]).name.startswith("music_"):
            sources["music"].append(row)
        elif kind == "noise" and "/babble/" not in row["path"]:
            sources["noise"].append(row)
        elif kind == "rir":
            sources["rirs"].append(row)
        elif kind in SPEECH and row["speaker"] != speaker:
            sources["speech"].append(row)
    for name, rows in sources.items():
        if not rows:
            raise UserError(f"{data}: no {name} with the split valid")
        listed = [
            {
                "ID": row["path"],
                "duration": float(row["seconds"]),
                "wav": str(data / row["path"]),
                "spk_id": row["speaker"],
            }
            for row in rows
        ]
        sources[name] = Path(folder, f"{name}.csv")
        write_manifest(sources[name], listed)
    codec = Codec(LOW_RATES, RATE)
    if len(codec.codecs) < len(LOW_RATES):
        raise UserError(
            "codecs are missing: pip install -e '.[codecs]' in the clone"
        )
    steps = {
        "noise": Noise(sources["noise"], snr_db=(0.0, 15.0)),
        "babble": Babble(sources["speech"], None, (0.0, 15.0), voices=(6, 9)),
        "reverb": Reverb(sources["rirs"]),
        "band-limit": Bandwidth((2000.0, 4000.0), STEEP, order=(6, 12)),
        "codec": codec,
        "clipping": Clipping(share=(0.03, 0.1)),
        "packet-loss": PacketLoss(loss=LOSS),
    }
    single = Chain({n: (1.0, s) for n, s in steps.items()}, 1, 0.0, RATE)
    mixed = load_chain(DEFAULT_CHAIN, argparse.Namespace(**sources), folder)
    mixed.clean_share = 0.0
    # Newer steps of the chain would change the set
    mixed.steps = {name: mixed.steps[name] for name in MIXED}
    mixed.steps["noise"][1].speed = (1.0, 1.0)
    return {**{name: single.only(name) for name in steps}, "mixed": mixed}
