"""Measure the speed of each degradation and of the entire chain on one core.

    python benchmarks/degrade.py CLEAN --noise DIR --music DIR --rirs DIR \\
        --speech DIR > table.md

Prints a Markdown table of seconds of audio per second of CPU time for clips of
3.5 s. The time includes reading noise, music, impulse responses and voices that
are not yet cached, but not reading the clean clips.

Authors
 * The miipher2 authors 2026
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import torch
from timing import processor_name

from miipher2.dataio.audio import read_audio
from miipher2.dataio.audio_files import list_audio
from miipher2.degrade import Codec, generator
from miipher2.degrade.command import DEFAULT_CHAIN, add_corpora
from miipher2.degrade.run import load_chain
from miipher2.errors import UserError, one_line_errors

SECONDS = 3.5
RECORDINGS = 40  # maximum number of recordings to read


def throughput(degradation, clips, rate, budget):
    """Return seconds of audio per second of CPU time.

    Arguments
    ---------
    degradation : Degradation
        The degradation or the chain.
    clips : list of torch.Tensor
        Clean clips ``(time,)``.
    rate : int
        Sample rate in Hz.
    budget : float
        Duration of the measurement in CPU seconds.

    Returns
    -------
    float
        The speed; 1 is real time.
    """
    for index in range(5):  # warm-up, which reads manifests and fills caches
        degradation(clips[index % len(clips)], generator("warm", index))
    audio, start = 0.0, time.process_time()
    for index in itertools.count():
        clip = clips[index % len(clips)]
        degradation(clip, generator(index))
        audio += len(clip) / rate
        spent = time.process_time() - start
        if spent > budget:
            return audio / spent


def main():
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clean", help="folder of clean speech")
    parser.add_argument(
        "--degrade",
        metavar="YAML",
        default=DEFAULT_CHAIN,
        help="YAML file of the chain",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=3.0,
        help="CPU seconds per degradation; the chain takes five times as many",
    )
    add_corpora(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        chain = load_chain(arguments.degrade, arguments, folder)
        rate = chain.sample_rate
        clips = [
            read_audio(Path(arguments.clean, file.path), rate, seconds=SECONDS)
            for file in list_audio(arguments.clean)[:RECORDINGS]
        ]
        clips = [clip for clip in clips if len(clip) == SECONDS * rate]
        if not clips:
            raise UserError(
                f"{arguments.clean}: expected a recording of at least "
                f"{SECONDS} s among the first {RECORDINGS}"
            )
        print(
            f"One core of {processor_name()}, {rate} Hz, "
            f"clips of {SECONDS} s.\n"
        )
        print("| degradation | speed (x real time) |\n|---|---|")
        rows = {"**the chain**": chain}
        for name in chain.names:
            rows[name] = chain.only(name)
            if name == "codec":
                settings = chain.steps[name][1].codecs
                for codec, values in settings.items():
                    rows[f"codec: {codec}"] = Codec({codec: values}, rate)
        for name, degradation in rows.items():
            # The cost of the chain varies randomly; measure it for longer.
            budget = arguments.budget * (5 if degradation is chain else 1)
            times = throughput(degradation, clips, rate, budget)
            print(f"| {name} | {times:.0f} |", flush=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
