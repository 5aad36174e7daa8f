"""The command ``miipher2 restore``.

Authors
 * The miipher2 authors 2026
"""

import argparse
import logging
import math
import os
from pathlib import Path

import torch

from miipher2.dataio.formats import OUTPUT_FORMATS, output_format
from miipher2.errors import UserError
from miipher2.inference.corpus import local
from miipher2.inference.corpus import ray_engine as cluster
from miipher2.inference.corpus.inputs import is_tar, list_items, shard_of
from miipher2.inference.corpus.journal import Journal
from miipher2.inference.corpus.progress import Progress, logging_to
from miipher2.inference.corpus.sharding import load, part
from miipher2.inference.corpus.tars import check_tars, tar_settings
from miipher2.inference.items import now
from miipher2.inference.job import Settings

logger = logging.getLogger("miipher2.inference")

RATES = range(8000, 192001)


def add_parser(subparsers):
    """Adds ``miipher2 restore``.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Gets the command.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["restore", "a", "b", "out"]).input
    ['a', 'b']
    """
    parser = subparsers.add_parser(
        "restore", help="restore recordings, up to whole corpora"
    )
    parser.add_argument(
        "input",
        nargs="+",
        help="recordings, WebDataset tars, folders of them, CSV manifests "
        "with a column wav",
    )
    parser.add_argument(
        "output",
        help="a file for a recording; else a folder, which gets the inputs' "
        "tree and a manifest.csv. Run again, it goes on where it was",
    )
    parser.add_argument(
        "--model",
        help="the folder 'model' that training has written, or a repository on "
        "the Hugging Face hub; default: compact, which comes along",
    )
    parser.add_argument(
        "--trust-model",
        action="store_true",
        help="let the model's YAML name any code to run",
    )
    sound = parser.add_argument_group("the outputs")
    sound.add_argument(
        "--format",
        choices=OUTPUT_FORMATS,
        default="wav",
        help="of what is written to a folder; default: wav",
    )
    sound.add_argument(
        "--sample-rate",
        type=int,
        choices=RATES,
        metavar="HZ",
        help=f"{RATES[0]} to {RATES[-1]}; default: the model's",
    )
    sound.add_argument(
        "--channels",
        choices=["each", "mono"],
        default="each",
        help="restore each channel, which is the default, or their mean",
    )
    sound.add_argument(
        "--loudness",
        type=_loudness,
        default="input",
        metavar="input|LUFS|off",
        help="as loud as the input, which is the default; or a number like "
        "-23; or as the model speaks",
    )
    sound.add_argument(
        "--parquet",
        action="store_true",
        help="write manifest.parquet instead of manifest.csv",
    )
    engine = parser.add_argument_group("the engine")
    engine.add_argument("--device", help="cpu, cuda, cuda:1; default: the best")
    engine.add_argument(
        "--precision",
        choices=["fp32", "bf16", "fp16"],
        help="default: the fastest that the device has units for",
    )
    engine.add_argument(
        "--batch-seconds",
        type=_seconds,
        metavar="S",
        help="sound in a batch; default: by the device",
    )
    engine.add_argument(
        "--workers",
        type=_at_least_one,
        default=min(8, os.cpu_count() or 1),
        metavar="N",
        help="threads that read, and as many that write; on a GPU processes "
        "that do both; default: %(default)s",
    )
    engine.add_argument(
        "--num-shards",
        type=_at_least_one,
        default=1,
        metavar="N",
        help="split the work into N parts, one for each machine",
    )
    engine.add_argument(
        "--shard-index",
        type=int,
        default=0,
        metavar="I",
        help="the part to do, from 0",
    )
    engine.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="ray: actors all over the Ray cluster that RAY_ADDRESS names, or "
        "on this machine, do the work; every node must see the inputs, the "
        "model and the output folder at the same paths; default: local",
    )
    engine.add_argument(
        "--actors",
        type=_at_least_one,
        metavar="N",
        help="actors on the Ray cluster; default: one for each GPU or, where "
        "there are none, for each two CPUs",
    )
    told = parser.add_argument_group("what is told")
    told.add_argument("--quiet", action="store_true", help="errors only")
    told.add_argument(
        "--log-file", metavar="FILE", help="write down there what is told"
    )
    parser.set_defaults(run=restore)


def _at_least_one(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 or more")
    return int(text)


def _seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds above 0")
    return value


def _loudness(text):
    if text in ("input", "off"):
        return text
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not -70 <= value <= -5:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected 'input', 'off' or LUFS from -70 to -5"
        )
    return value


def restore(arguments):
    """Runs ``miipher2 restore``.

    Arguments
    ---------
    arguments : argparse.Namespace
        What the parser read.

    Returns
    -------
    int
        0 if all was restored, 1 if some recordings failed, 130 after Ctrl-C.
    """
    shard, num_shards = part(arguments)
    started = now()
    if arguments.engine == "ray":
        cluster.check_cluster(arguments)
    output = Path(arguments.output)
    items = None
    if not is_single_file(arguments.input, output):
        items = list_items(arguments.input, output, f".{arguments.format}")
        check_tars(items, output)
    with logging_to(arguments.log_file, arguments.quiet):
        try:
            if items is None:
                return _restore_file(arguments) if shard == 0 else 0
            look = cluster.look if arguments.engine == "ray" else load
            restorer = look(arguments)
            items = [i for i in items if shard_of(i.ID, num_shards) == shard]
            with Journal(
                output, shard, num_shards, arguments.parquet
            ) as journal:
                return _restore_items(
                    restorer, items, journal, arguments, started
                )
        except KeyboardInterrupt:
            logger.error("interrupted; the same command again goes on")
            return 130


def is_single_file(inputs, output):
    """Whether a recording is to become a file of a given name.

    Arguments
    ---------
    inputs : list of str
        What to restore.
    output : Path
        Where to.

    Returns
    -------
    bool
        False if the output is a folder.

    Raises
    ------
    UserError
        If a file's format is not known.

    Example
    -------
    >>> is_single_file(["a", "b"], Path("restored"))
    False
    """
    source = Path(inputs[0])
    if len(inputs) > 1 or not source.is_file() or output.is_dir():
        return False
    if source.suffix.lower() == ".csv" or is_tar(source):
        return False
    output_format(output)
    return True


def _restore_file(arguments):
    source, output = Path(arguments.input[0]), Path(arguments.output)
    restorer = load(arguments)
    logger.info("1 recording, %s", _how(restorer, arguments))
    try:
        row = restorer.restore_file(
            source,
            output,
            arguments.sample_rate,
            arguments.channels,
            arguments.loudness,
            arguments.batch_seconds,
        )
    except UserError as error:
        logger.error("failed: %s", error)
        return 1
    told = f", {row.reason}" if row.reason else ""
    logger.info("%s: %s, %.1f s%s", output, row.status, row.seconds, told)
    return 0


def _restore_items(restorer, items, journal, arguments, started):
    settings = Settings(
        arguments.sample_rate or restorer.sample_rate,
        arguments.channels,
        arguments.loudness,
    )
    suffix = f".{arguments.format}"

    def is_done(item):
        told = str(settings)
        if is_tar(item.ID):
            told = tar_settings(settings, suffix)
        return journal.is_done(item, restorer.identity, told)

    missing = [item for item in items if not is_done(item)]
    before = len(items) - len(missing)
    tars = sum(is_tar(item.ID) for item in items)
    logger.info(
        "%d recordings%s%s, %s",
        len(items) - tars,
        f" and {tars} tars" if tars else "",
        f" ({before} of them done before)" if before else "",
        _how(restorer, arguments),
    )
    journal.known.clear()
    with Progress(missing, arguments.quiet) as progress:

        def report(row):
            journal.append(row)
            if not (is_tar(row.ID) and row.status == "done"):
                progress.end(row)

        engine = cluster if arguments.engine == "ray" else local
        engine.run(
            missing, settings, report, progress.advance, arguments, restorer
        )
    rows = journal.finish()
    # what has failed in this run, whichever process was at it
    failed = any(
        row.status == "failed" and row.finished >= started for row in rows or ()
    )
    return _summary(progress, failed, arguments.output)


def _summary(progress, failed, output):
    """Tells how it went; returns the exit code."""
    counts = progress.counts
    told = [f"{counts['done']} restored", f"{counts['failed']} failed"]
    for status in ("silent", "skipped"):
        if counts[status]:
            told.append(f"{counts[status]} {status}")
    told.append(f"in {output}")
    logger.info("%s; %s", ", ".join(told), progress.speed())
    if "WORLD_SIZE" not in os.environ:
        return 1 if counts["failed"] else 0
    # torchrun ends all processes when one reports a failure: the last one to
    # end does it for all.
    return 1 if failed else 0


def _how(restorer, arguments):
    rate = arguments.sample_rate or restorer.sample_rate
    if arguments.engine == "ray":
        return f"on Ray, to {rate} Hz"
    device = str(restorer.device)
    if device.startswith("cuda"):
        device += f" ({torch.cuda.get_device_name(device)})"
    return f"on {device} in {restorer.precision}, to {rate} Hz"
