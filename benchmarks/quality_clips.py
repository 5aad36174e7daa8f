"""Functions that choose, degrade and save clips of the fixed test set.

Authors
 * The miipher2 authors 2026
"""

import json
import operator
from collections import defaultdict
from pathlib import Path

from miipher2.dataio.audio import read_audio, write_audio
from miipher2.dataio.manifests import write_manifest
from miipher2.dataio.speech_level import active_samples, mean_power
from miipher2.degrade import generator
from miipher2.errors import UserError

RATE = 16000
LEVEL = 10 ** (-26 / 20)
# Range of the duration of clips. DNSMOS doubles clips until they are at least
# 9.01 s long, and averages over windows with a hop of 1 s. A clip in this range
# is doubled once and has one window, but a clip of 4.4 s would be doubled twice
# and have eight.
SECONDS = (4.6, 5.4)
SPEECH = ("speech", "speech16", "speech24")
LOSS = (0.05, 0.2)  # range of the fraction of lost packets


def load_clip(path, rate=RATE):
    """Read the beginning of a recording and normalise its level."""
    clean = shorten(read_audio(path, rate), rate)
    if not clean.any():
        raise UserError(f"{path}: silence; remove its row from manifest.csv")
    gain = LEVEL / level(clean, rate)
    return clean * min(gain, 1 / float(clean.abs().max()))


def level(wav, rate=RATE):
    """Return the RMS level of active speech after removal of the DC offset.

    Training and restoration use ``SpeechLevel`` instead. Using it here would
    change the test set.
    """
    samples = wav.numpy() - wav.numpy().mean()
    return mean_power(samples[active_samples(samples, rate)]) ** 0.5


def shorten(wav, rate=RATE):
    """Cut a long recording at the quietest point in the range ``SECONDS``."""
    shortest, longest = (round(seconds * rate) for seconds in SECONDS)
    if len(wav) <= longest:
        return wav
    frame = rate // 50
    power = wav[shortest:longest].unfold(0, frame, frame).square().sum(1)
    return wav[: shortest + frame * int(power.argmin()) + frame // 2]


def degrade_clip(chains, clean, keys, rate=RATE):
    """Degrade a clip; return the target, the degraded clip and the parameters.

    The degraded clip has the level of the target, unless it would clip.
    """
    _, condition, _ = keys
    for attempt in range(1000):
        rng = generator(*keys, attempt)
        target, noisy, drawn = chains[condition].pair(clean, rng)
        if is_valid(condition, drawn["steps"]):
            break
    else:
        raise UserError(
            f"{condition}: no valid parameters in 1000 attempts; choose "
            "another --seed or, for babble, add speakers"
        )
    gain = level(target, rate) / level(noisy, rate)
    gain = min(gain, 0.99 / float(noisy.abs().max()))
    return target, gain * noisy, {**drawn, "gain": drawn["gain"] * gain}


def is_valid(condition, steps):
    """Return whether the random parameters suit the condition."""
    if condition == "mixed":
        return len(steps) > 1
    if condition == "babble":
        return len(steps[0]["voices"]) >= 4
    if condition == "packet-loss":
        return LOSS[0] <= steps[0]["lost"] <= LOSS[1]
    return True


def held_out_queues(files):
    """Return the sufficiently long recordings of each held-out speaker."""
    speech = [row for row in files if row["path"].split("/")[0] in SPEECH]
    trained = {row["speaker"] for row in speech if row["split"] != "valid"}
    queues = defaultdict(list)
    for row in sorted(speech, key=operator.itemgetter("path")):
        long = float(row["seconds"]) >= SECONDS[0]
        if long and row["speaker"] not in trained:
            queues[row["speaker"]].append(row)
    return queues


def choose(files, count, seed, data):
    """Choose clips evenly from the held-out speakers."""
    rng, queues = generator(seed, "clips"), held_out_queues(files)
    found = sum(map(len, queues.values()))
    if not 0 < count <= found:
        raise UserError(
            f"{data}: --clips {count}, but there are {found} recordings of at "
            f"least {SECONDS[0]:g} s by speakers who are only in the valid "
            "split"
        )
    queues = {s: rng.permutation(queue).tolist() for s, queue in queues.items()}
    chosen = []
    while len(chosen) < count:
        remaining = sorted(
            speaker for speaker, queue in queues.items() if queue
        )
        for speaker in rng.permutation(remaining)[: count - len(chosen)]:
            chosen.append(queues[speaker].pop())
    return sorted(chosen, key=operator.itemgetter("path"))


def sources(data, held_out, speaker, folder):
    """Write manifests of noise, music, impulse responses and speech.

    Speech of ``speaker`` and noise in folders named ``babble`` are left out.
    Returns the path of each manifest by name.
    """
    found = {"noise": [], "music": [], "rirs": [], "speech": []}
    for row in held_out:
        kind = row["path"].split("/")[0]
        if kind == "noise" and Path(row["path"]).name.startswith("music_"):
            found["music"].append(row)
        elif kind == "noise" and "/babble/" not in row["path"]:
            found["noise"].append(row)
        elif kind == "rir":
            found["rirs"].append(row)
        elif kind in SPEECH and row["speaker"] != speaker:
            found["speech"].append(row)
    for name, rows in found.items():
        if not rows:
            raise UserError(
                f"{data}/manifest.csv: no {name} in the valid split for "
                f"clips of {speaker}; add some"
            )
        listed = [
            {
                "ID": row["path"],
                "duration": float(row["seconds"]),
                "wav": str(data / row["path"]),
                "spk_id": row["speaker"],
            }
            for row in rows
        ]
        found[name] = Path(folder, f"{name}.csv")
        write_manifest(found[name], listed)
    return found


def clip_name(file):
    """Return the name of a clip."""
    return f"{file['speaker']}_{Path(file['path']).stem}"


def save_row(output, condition, file, sides, drawn=None, cutoff_hz=""):
    """Write the input and the clean clip; return the row of the clip."""
    clip = clip_name(file)
    for side, (wav, rate) in sides.items():
        write_audio(output / side / condition / f"{clip}.wav", wav, rate)
    clean, rate = sides["clean"]
    return {
        "condition": condition,
        "clip": clip,
        "speaker": file["speaker"],
        "source": file["path"],
        "seconds": f"{len(clean) / rate:.3f}",
        "cutoff_hz": cutoff_hz,
        "drawn": json.dumps(drawn or {"steps": []}),
    }
