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
from miipher2.inference.corpus import local, ray_engine
from miipher2.inference.corpus.inputs import is_tar, list_items, shard_of
from miipher2.inference.corpus.journal import Journal
from miipher2.inference.corpus.progress import Progress, logging_to
from miipher2.inference.corpus.sharding import load_restorer, shard_assignment
from miipher2.inference.corpus.tars import check_tars, tar_settings
from miipher2.inference.items import now
from miipher2.inference.job import Settings

logger = logging.getLogger("miipher2.inference")


def add_parser(subparsers):
    """Add ``miipher2 restore`` to the command line.

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
        "restore", help="restore recordings, up to entire corpora"
    )
    parser.add_argument(
        "input",
        nargs="+",
        help="recordings, WebDataset tars, folders of them, or CSV manifests "
        "with a column wav",
    )
    parser.add_argument(
        "output",
        help="a file for a single recording; else a folder, which gets the "
        "folder tree of the input and a manifest.csv. Run the same command "
        "again to resume",
    )
    parser.add_argument(
        "--model",
        help="a model folder written by training, or a repository on the "
        "Hugging Face hub; default: the bundled model compact",
    )
    parser.add_argument(
        "--trust-model",
        action="store_true",
        help="allow the model's YAML to run any code",
    )
    _add_outputs(parser.add_argument_group("outputs"))
    _add_engine(parser.add_argument_group("engine"))
    log = parser.add_argument_group("log")
    log.add_argument(
        "--quiet", action="store_true", help="show warnings and errors only"
    )
    log.add_argument(
        "--log-file", metavar="FILE", help="append the log to this file, too"
    )
    parser.set_defaults(run=restore)


def _add_outputs(group):
    """Add the options that change the outputs."""
    group.add_argument(
        "--format",
        choices=OUTPUT_FORMATS,
        default="wav",
        help="format of the files in an output folder; default: wav",
    )
    group.add_argument(
        "--sample-rate",
        type=_number(int, 8000, 192000),
        metavar="HZ",
        help="8000 to 192000; default: the model's",
    )
    group.add_argument(
        "--channels",
        choices=["each", "mono"],
        default="each",
        help="restore each channel (default), or their mean",
    )
    group.add_argument(
        "--loudness",
        type=_loudness,
        default="input",
        metavar="input|LUFS|off",
        help="match the input (default), a level such as -23, or the model's "
        "own level",
    )
    group.add_argument(
        "--parquet",
        action="store_true",
        help="write manifest.parquet instead of manifest.csv",
    )


def _add_engine(group):
    """Add the options that change where and how fast the model runs."""
    group.add_argument(
        "--device", help="cpu, cuda, cuda:1; default: a GPU if there is one"
    )
    group.add_argument(
        "--precision",
        choices=["fp32", "bf16", "fp16"],
        help="default: the fastest that the device supports in hardware",
    )
    group.add_argument(
        "--batch-seconds",
        type=_number(float, 0.001),
        metavar="S",
        help="seconds of audio in a batch; default: depends on the device",
    )
    group.add_argument(
        "--workers",
        type=_number(int, 1),
        default=min(8, os.cpu_count() or 1),
        metavar="N",
        help="number of reader threads and of writer threads; with a GPU, of "
        "worker processes that do both; default: %(default)s",
    )
    group.add_argument(
        "--num-shards",
        type=_number(int, 1),
        default=1,
        metavar="N",
        help="number of shards of the run, e.g. one for each machine",
    )
    group.add_argument(
        "--shard-index",
        type=int,
        default=0,
        metavar="I",
        help="the shard to restore, from 0",
    )
    group.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="ray: use actors on the Ray cluster of RAY_ADDRESS, or on this "
        "machine; every node needs the inputs, the model and the output "
        "folder at the same paths; default: local",
    )
    group.add_argument(
        "--actors",
        type=_number(int, 1),
        metavar="N",
        help="number of Ray actors; default: one for each GPU or, without "
        "GPUs, for every two CPUs",
    )


def _number(kind, lowest, highest=math.inf):
    """Return an argparse type for numbers in a range."""
    expected = f"{lowest} or more"
    if highest < math.inf:
        expected = f"{lowest} to {highest}"

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
        return _number(float, -70, -5)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{error} LUFS, 'input' or 'off'"
        ) from None


def restore(arguments):
    """Run ``miipher2 restore``.

    Arguments
    ---------
    arguments : argparse.Namespace
        The parsed command line.

    Returns
    -------
    int
        0 if no recording failed, 1 if some failed, 130 after Ctrl-C.
    """
    shard, num_shards = shard_assignment(arguments)
    started = now()
    if arguments.engine == "ray":
        ray_engine.check_ray(arguments)
    output = Path(arguments.output)
    items = None
    if not is_single_file(arguments.input, output):
        items = list_items(arguments.input, output, f".{arguments.format}")
        check_tars(items, output)
    with logging_to(arguments.log_file, arguments.quiet):
        try:
            if items is None:
                return _restore_file(arguments) if shard == 0 else 0
            load = load_restorer
            if arguments.engine == "ray":
                load = ray_engine.load_on_cpu
            restorer = load(arguments)
            items = [i for i in items if shard_of(i.ID, num_shards) == shard]
            with Journal(
                output, shard, num_shards, arguments.parquet
            ) as journal:
                return _restore_items(
                    restorer, items, journal, arguments, started
                )
        except KeyboardInterrupt:
            logger.error("interrupted; run the same command again to resume")
            return 130


def is_single_file(inputs, output):
    """Return whether the output is a file for a single recording.

    Arguments
    ---------
    inputs : list of str
        The inputs.
    output : Path
        The output.

    Returns
    -------
    bool
        False if the output is a folder.

    Raises
    ------
    UserError
        If the suffix of the output file is not supported.

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
    """Restore a single recording; return the exit code."""
    source, output = Path(arguments.input[0]), Path(arguments.output)
    restorer = load_restorer(arguments)
    logger.info("1 recording, %s", _describe(restorer, arguments))
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
    reason = f", {row.reason}" if row.reason else ""
    logger.info("%s: %s, %.1f s%s", output, row.status, row.seconds, reason)
    return 0


def _restore_items(restorer, items, journal, arguments, started):
    """Restore the items that are not done; return the exit code."""
    settings = Settings(
        arguments.sample_rate or restorer.sample_rate,
        arguments.channels,
        arguments.loudness,
    )
    suffix = f".{arguments.format}"

    def is_done(item):
        used = str(settings)
        if is_tar(item.ID):
            used = tar_settings(settings, suffix)
        return journal.is_done(item, restorer.identity, used)

    missing = [item for item in items if not is_done(item)]
    num_done = len(items) - len(missing)
    tars = sum(is_tar(item.ID) for item in items)
    logger.info(
        "%d recordings%s%s, %s",
        len(items) - tars,
        f" and {tars} tars" if tars else "",
        f" ({num_done} already done)" if num_done else "",
        _describe(restorer, arguments),
    )
    journal.known.clear()
    with Progress(missing, arguments.quiet) as progress:

        def report(row):
            journal.append(row)
            if not (is_tar(row.ID) and row.status == "done"):
                progress.end(row)

        engine = ray_engine if arguments.engine == "ray" else local
        engine.run(
            missing, settings, report, progress.advance, arguments, restorer
        )
    rows = journal.finish()
    # Includes the failures of the run's other processes.
    failed = any(
        row.status == "failed" and row.finished >= started for row in rows or ()
    )
    return _summarise(progress, failed, arguments.output)


def _summarise(progress, failed, output):
    """Log the summary; return the exit code."""
    counts = progress.counts
    parts = [f"{counts['done']} restored", f"{counts['failed']} failed"]
    for status in ("silent", "skipped"):
        if counts[status]:
            parts.append(f"{counts[status]} {status}")
    parts.append(f"in {output}")
    logger.info("%s; %s", ", ".join(parts), progress.speed())
    if "WORLD_SIZE" not in os.environ:
        return 1 if counts["failed"] else 0
    # torchrun kills all processes when one exits with an error. Hence only
    # the last process to finish, which writes the manifest, reports failures.
    return 1 if failed else 0


def _describe(restorer, arguments):
    """Return device, precision and sample rate as text."""
    rate = arguments.sample_rate or restorer.sample_rate
    if arguments.engine == "ray":
        return f"on Ray, to {rate} Hz"
    device = str(restorer.device)
    if device.startswith("cuda"):
        device += f" ({torch.cuda.get_device_name(device)})"
    return f"on {device} in {restorer.precision}, to {rate} Hz"
