"""Command-line options of ``miipher2 restore``, except the evaluation options.

Authors
 * The miipher2 authors 2026
"""

import argparse
import math
import os

from miipher2.dataio.formats import OUTPUT_FORMATS, SUBTYPES
from miipher2.inference.arguments import (
    CHANNELS,
    LOUDNESS_RANGE,
    MIN_BATCH_SECONDS,
    OUTPUT_RATES,
)


def add_parser(subparsers):
    """Add ``miipher2 restore`` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        The subparsers to which the command is added.

    Returns
    -------
    argparse.ArgumentParser
        The parser of the command.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> _ = add_parser(parser.add_subparsers())
    >>> parser.parse_args(["restore", "a", "b", "out"]).input
    ['a', 'b']
    """
    parser = subparsers.add_parser(
        "restore", help="restore recordings or entire corpora"
    )
    parser.add_argument(
        "input",
        nargs="+",
        help="recordings, WebDataset tars, folders, or CSV manifests with a "
        "wav column",
    )
    parser.add_argument(
        "output",
        help="output file for a single recording; otherwise an output folder, "
        "which mirrors the relative paths of the inputs and contains a "
        "manifest.csv. To resume a run, repeat the command",
    )
    parser.add_argument(
        "--model",
        help="a model folder written by training, the name of a bundled model "
        "(whisper24 or compact), a repository on the Hugging Face Hub "
        "(USER/NAME or USER/NAME@REVISION), or an ONNX file written by "
        "export-onnx; default: whisper24",
    )
    parser.add_argument(
        "--trust-model",
        action="store_true",
        help="allow the model's YAML to run arbitrary code",
    )
    _add_outputs(parser.add_argument_group("outputs"))
    _add_engine(parser.add_argument_group("engine"))
    log = parser.add_argument_group("log")
    log.add_argument(
        "--quiet", action="store_true", help="show warnings and errors only"
    )
    log.add_argument(
        "--log-file", metavar="FILE", help="also append the log to this file"
    )
    return parser


def _add_outputs(group):
    """Add the options that affect the outputs."""
    group.add_argument(
        "--format",
        choices=OUTPUT_FORMATS,
        default="wav",
        help="format of the files in an output folder; default: wav",
    )
    group.add_argument(
        "--subtype",
        choices=SUBTYPES,
        help="sample format of wav and flac files (flac does not support "
        "FLOAT); default: PCM_24 for inputs with 24- or 32-bit integers, FLOAT "
        "(PCM_24 in flac files) for floating-point inputs, PCM_16 for all "
        "others",
    )
    group.add_argument(
        "--sample-rate",
        type=_number(int, *OUTPUT_RATES, "Hz, for example 16000 or 48000"),
        metavar="HZ",
        help=f"output rate, {OUTPUT_RATES[0]} to {OUTPUT_RATES[1]}; "
        "default: the output rate of the model",
    )
    group.add_argument(
        "--channels",
        choices=CHANNELS,
        default="each",
        help="each: restore every channel (default); mono: restore the mean "
        "of the channels",
    )
    group.add_argument(
        "--loudness",
        type=_loudness,
        default="input",
        metavar="input|LUFS|off",
        help="input: match the loudness of the input (default); a number: "
        "loudness in LUFS, such as -23; off: do not change the loudness of "
        "the model's output",
    )
    group.add_argument(
        "--overwrite",
        action="store_true",
        help="replace an existing output file; with an output folder, restore "
        "every recording again",
    )
    group.add_argument(
        "--check-content",
        action="store_true",
        help="detect changed inputs by a hash of their content instead of by "
        "size and modification time; requires reading every input once more",
    )
    group.add_argument(
        "--parquet",
        action="store_true",
        help="write manifest.parquet instead of manifest.csv",
    )


def _add_engine(group):
    """Add the options for the device, batches and processes."""
    group.add_argument(
        "--device",
        default="auto",
        help="cpu, cuda, cuda:1, xpu, mps or auto (default), which selects "
        "an accelerator of this machine or, if it has none, the CPU",
    )
    group.add_argument(
        "--precision",
        choices=["fp32", "bf16", "fp16"],
        help="numerical precision; default: bf16 on CUDA GPUs that support it "
        "in hardware and on CPUs with AMX or AVX512-BF16, fp16 on other CUDA "
        "GPUs, otherwise fp32",
    )
    group.add_argument(
        "--batch-seconds",
        type=_number(float, MIN_BATCH_SECONDS),
        metavar="S",
        help="seconds of audio per batch; the default depends on the device",
    )
    group.add_argument(
        "--workers",
        type=_number(int, 1),
        default=min(8, os.cpu_count() or 1),
        metavar="N",
        help="on the CPU, number of reader threads and number of writer "
        "threads; on an accelerator, number of worker processes, which read "
        "and write; default: %(default)s",
    )
    group.add_argument(
        "--num-shards",
        type=_number(int, 1),
        default=1,
        metavar="N",
        help="number of shards, for example one per machine",
    )
    group.add_argument(
        "--shard-index",
        type=int,
        default=0,
        metavar="I",
        help="index of the shard to restore, starting at 0",
    )
    group.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="local (default): restore on this machine; ray: use actors on the "
        "Ray cluster at RAY_ADDRESS, or on this machine if there is none. "
        "Every node needs the inputs, the model and the output folder at the "
        "same paths",
    )
    group.add_argument(
        "--actors",
        type=_number(int, 1),
        metavar="N",
        help="number of Ray actors; default: one per GPU or, on CPUs, one per "
        "two CPUs",
    )


def _number(kind, lowest, highest=math.inf, unit=""):
    """Return an argparse type that accepts numbers in a range."""
    expected = f"{lowest:g} or more"
    if highest < math.inf:
        expected = f"{lowest:.0f} to {highest:.0f} {unit}".rstrip()

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest or value == math.inf:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
        return value

    return parse


def _loudness(text):
    """Parse ``--loudness``."""
    if text in ("input", "off"):
        return text
    try:
        return _number(float, *LOUDNESS_RANGE, "LUFS, 'input' or 'off'")(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(error) from None
