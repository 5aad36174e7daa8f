"""Main function of ``miipher2 restore``.

Authors
 * The miipher2 authors 2026
"""

import logging
import os
from pathlib import Path

import torch

from miipher2.dataio.formats import (
    RECORDING_SUFFIXES,
    TAR_SUFFIXES,
    has_suffix,
    output_format,
    output_subtype,
)
from miipher2.dataio.journal import shard_of
from miipher2.dataio.wording import count
from miipher2.errors import UserError
from miipher2.inference.corpus import local, ray_engine
from miipher2.inference.corpus.inputs import (
    is_tar,
    list_items,
    with_hashes,
)
from miipher2.inference.corpus.journal import Journal, was_used
from miipher2.inference.corpus.progress import Progress, logging_to
from miipher2.inference.corpus.sharding import load_restorer, shard_assignment
from miipher2.inference.corpus.tars import check_tars, tar_settings
from miipher2.inference.items import Item, Row, now
from miipher2.inference.job import Settings

logger = logging.getLogger("miipher2.inference")


def restore(arguments, check=None):
    """Run ``miipher2 restore``.

    Arguments
    ---------
    arguments : argparse.Namespace
        The parsed command line.
    check : miipher2.inference.check.Check
        Check of every written output; None for no check.

    Returns
    -------
    int
        0 if no recording failed, 1 if any failed, 130 after Ctrl-C.
    """
    shard, num_shards = shard_assignment(arguments)
    started = now()
    if arguments.engine == "ray":
        ray_engine.check_ray(arguments)
    output = Path(arguments.output)
    items = None
    if is_single_file(arguments.input, output):
        if check is not None:
            raise UserError(
                f"{output}: --evaluate needs an output folder; give a folder"
            )
        output_subtype(output_format(output), arguments.subtype)
        if output.exists() and not arguments.overwrite:
            raise _exists(output)
    else:
        output_subtype(arguments.format, arguments.subtype)
        items = list_items(arguments.input, output, f".{arguments.format}")
        _check_folder(output)
        check_tars(items)
        if check is not None:
            _check_recordings(items)
    with logging_to(arguments.log_file, arguments.quiet):
        try:
            if items is None:
                return _restore_file(arguments) if shard == 0 else 0
            load = load_restorer
            if arguments.engine == "ray":
                load = ray_engine.load_on_cpu
            restorer = load(arguments)
            items = [i for i in items if shard_of(i.ID, num_shards) == shard]
            if not arguments.overwrite and not was_used(output):
                _check_outputs(items, output)
            if arguments.check_content:
                items = with_hashes(items, arguments.workers)
            with Journal(
                output, shard, num_shards, arguments.parquet
            ) as journal:
                return _restore_items(
                    restorer, items, journal, arguments, started, check
                )
        except KeyboardInterrupt:
            logger.error("interrupted; run the same command again to resume")
            return 130


def is_single_file(inputs, output):
    """Return whether the output is a single file.

    Arguments
    ---------
    inputs : list of str
        The inputs.
    output : Path
        The output.

    Returns
    -------
    bool
        True for a single file, False for a folder.

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


def _check_folder(output):
    """Check that an output is a folder or the name of a new folder."""
    if output.is_dir():
        return
    if output.exists() or has_suffix(output, RECORDING_SUFFIXES + TAR_SUFFIXES):
        raise UserError(
            f"{output}: expected a folder, because the input is not a "
            "single recording; give a folder"
        )


def _check_recordings(items):
    """Check that no item is a tar, which evaluation does not support."""
    for item in items:
        if is_tar(item.ID) and not item.status:
            raise UserError(
                f"{item.input}: --evaluate does not support tars; unpack the "
                "tar, or leave out --evaluate"
            )


def _check_outputs(items, output):
    """Check that no output exists before a new run."""
    for item in items if output.exists() else ():
        path = output / item.output
        if not item.status and path.exists():
            raise _exists(path)


def _exists(path):
    return UserError(
        f"{path}: exists; choose a different output, or use --overwrite to "
        "replace it"
    )


def _restore_file(arguments):
    """Restore a single recording; return the exit code."""
    source, output = Path(arguments.input[0]), Path(arguments.output)
    restorer = load_restorer(arguments)
    logger.info("1 recording, %s", _describe(restorer, arguments))
    item = Item(source.name, source, output.name, source.stat().st_size)
    rate = restorer.sample_rate
    with Progress([item], rate, arguments.quiet) as progress:
        try:
            row = restorer.restore_file(
                source,
                output,
                arguments.sample_rate,
                arguments.channels,
                arguments.loudness,
                arguments.batch_seconds,
                progress=lambda seconds, share: progress.advance(
                    item.size * share, seconds
                ),
                subtype=arguments.subtype,
            )
        except UserError as error:
            logger.error("failed: %s", error)
            return 1
        progress.end(row)
    reason = f", {row.reason}" if row.reason else ""
    logger.info("%s: %s%s; %s", output, row.status, reason, progress.speed())
    return 0


def _restore_items(restorer, items, journal, arguments, started, check):
    """Restore the items that are not done yet; return the exit code."""
    settings = Settings(
        arguments.sample_rate or restorer.sample_rate,
        arguments.channels,
        arguments.loudness,
        arguments.subtype,
        check,
    )
    suffix = f".{arguments.format}"

    def is_done(item):
        used, row = str(settings), journal.known.get(item.ID)
        if check is not None and row is not None:
            if not check.has_scores(row):
                return False
            used = check.settings(used, row)
        if is_tar(item.ID):
            used = tar_settings(settings, suffix)
        return journal.is_done(item, restorer.identity, used)

    ended = [item for item in items if item.status]
    items = [item for item in items if not item.status]
    missing = items
    if not arguments.overwrite:
        missing = [item for item in items if not is_done(item)]
    num_done = len(items) - len(missing)
    tars = sum(is_tar(item.ID) for item in items)
    found = count(len(items) - tars, "recording")
    found += f" and {count(tars, 'tar')}" if tars else ""
    logger.info(
        "%s%s, %s",
        found,
        f" ({num_done} already done)" if num_done else "",
        _describe(restorer, arguments),
    )
    journal.start(missing + ended)
    with Progress(missing, restorer.sample_rate, arguments.quiet) as progress:

        def report(row):
            journal.append(row)
            if not (is_tar(row.ID) and row.status == "done"):
                progress.end(row)

        for item in ended:
            report(Row.of(item))
        engine = ray_engine if arguments.engine == "ray" else local
        engine.run(
            missing, settings, report, progress.advance, arguments, restorer
        )
    rows = journal.finish()
    if items and not missing and not ended:
        if rows is None:  # other shards have not finished
            logger.info("nothing to restore in this shard")
        else:
            logger.info("nothing to restore: %s is complete", arguments.output)
    else:
        _summarise(progress, arguments.output)
    if check is not None and rows is not None:
        logger.info(
            "%s", check.write(arguments.output, rows, writer=journal.path.name)
        )
    if "WORLD_SIZE" not in os.environ:
        return 1 if progress.counts["failed"] else 0
    # torchrun kills all processes when one exits with an error. Therefore, only
    # the last process to finish, which writes the manifest, reports the
    # failures of all processes.
    failed = any(
        row.status == "failed" and row.finished >= started for row in rows or ()
    )
    return 1 if failed else 0


def _summarise(progress, output):
    """Log the summary of a run."""
    counts = progress.counts
    parts = [f"{counts['done']} restored", f"{counts['failed']} failed"]
    for status in ("silent", "skipped", "rejected"):
        if counts[status]:
            parts.append(f"{counts[status]} {status}")
    speed = f"; {progress.speed()}" if progress.seconds else ""
    notes = ""
    if progress.notes:
        notes = f"; {count(progress.notes, 'note')} in the manifest"
    logger.info("%s, in %s%s%s", ", ".join(parts), output, speed, notes)


def _describe(restorer, arguments):
    """Return the device, the precision and the output rate as text."""
    rate = arguments.sample_rate or restorer.sample_rate
    if arguments.engine == "ray":
        return f"on Ray, to {rate} Hz"
    device = str(restorer.device)
    if device.startswith("cuda"):
        device += f" ({torch.cuda.get_device_name(device)})"
    return f"on {device} in {restorer.precision}, to {rate} Hz"
