"""Ray engine, whose actors restore blocks of items in parallel.

Items are sent to the actors of a cluster in blocks, and the actors return rows.
If an actor dies, Ray restarts it and retries its entire block, which is safe
because outputs are written atomically. If a block fails three times, its items
are retried one by one, so that only the items that kill their actors fail.

Authors
 * The miipher2 authors 2026
"""

import argparse
import contextlib
import functools
import logging
import os
import pickle
import traceback
from pathlib import Path

from miipher2.dataio.atomic import partial_path
from miipher2.errors import UserError
from miipher2.inference.corpus import local
from miipher2.inference.corpus.inputs import is_tar
from miipher2.inference.corpus.sharding import load_restorer
from miipher2.inference.corpus.tar_job import TarJob
from miipher2.inference.corpus.tars import tar_settings
from miipher2.inference.items import Row, now

logger = logging.getLogger("miipher2.inference")

# Bytes of input at which a block is complete at the latest. On GPUs, a block
# contains hours of audio, so the last batches of a block, which are not full,
# cost little. On CPUs, which are slower, it contains minutes of audio.
BLOCK_BYTES = {"GPU": 2**30, "CPU": 2**26}
# Approximate minimum, so that actors finish at similar times
BLOCKS_PER_ACTOR = 4
TRIES = 3  # attempts per block, and then per item of a failed block
DATA_CONTEXT = {
    "enable_progress_bars": False,
    "print_on_execution_start": False,
    "max_errored_blocks": -1,  # blocks whose actors died are retried below
    # By default, Ray gives up when no block has finished for 30 minutes.
    "execution_no_progress_timeout_s": 24 * 3600.0,
}


class Actor:
    """Ray actor that loads the model once and restores blocks.

    Arguments
    ---------
    settings : miipher2.inference.job.Settings
        Settings of the outputs.
    arguments : argparse.Namespace
        Arguments of ``miipher2 restore``.
    """

    def __init__(self, settings, arguments):
        self.settings = settings
        self.arguments = arguments

    @functools.cached_property
    def restorer(self):
        """The model, loaded on first use so that errors can be returned."""
        return load_restorer(self.arguments)

    def __call__(self, batch):
        """Restore the items of a block.

        Arguments
        ---------
        batch : dict
            ``block``: one block, pickled because Arrow requires valid UTF-8 and
            file names can contain other bytes.

        Returns
        -------
        dict
            ``rows``: the pickled rows of the block, or a pickled exception that
            ends the run. If it were raised here, Ray would ignore it (see
            ``max_errored_blocks``), and ``run`` would retry the items.
        """
        (block,), rows = batch["block"], []
        try:
            local.run(
                pickle.loads(block),
                self.settings,
                rows.append,
                lambda size, seconds: None,
                self.arguments,
                self.restorer,
            )
        except UserError as error:
            rows = error
        except Exception:  # a bug; retrying would not help
            rows = RuntimeError(traceback.format_exc())
        return {"rows": [pickle.dumps(rows)]}


def check_ray(arguments):
    """Check that Ray can be used.

    Arguments
    ---------
    arguments : argparse.Namespace
        Arguments with ``num_shards``.

    Raises
    ------
    UserError
        If Ray is not installed, or if the run uses shards or torchrun.

    Example
    -------
    >>> check_ray(argparse.Namespace(num_shards=2))
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: --engine ray cannot be combined with
    --num-shards ...
    """
    if arguments.num_shards > 1 or "WORLD_SIZE" in os.environ:
        raise UserError(
            "--engine ray cannot be combined with --num-shards or torchrun; "
            "leave them out"
        )
    try:
        import ray.data  # noqa: F401
    except ImportError:
        raise UserError(
            "--engine ray needs Ray: pip install 'ray[data]'"
        ) from None


def load_on_cpu(arguments):
    """Load the model on the CPU, because the actors use the GPUs.

    Arguments
    ---------
    arguments : argparse.Namespace
        See ``miipher2.inference.corpus.sharding.load_restorer``.

    Returns
    -------
    Restorer
        The model.
    """
    return load_restorer(
        argparse.Namespace(**{**vars(arguments), "device": "cpu"})
    )


def run(items, settings, report, progress, arguments, restorer):
    """Restore items on a Ray cluster, or on this machine if there is none.

    Arguments
    ---------
    items : list of miipher2.inference.items.Item
        The items to restore. The row of an item that fails contains the reason.
    settings : miipher2.inference.job.Settings
        Settings of the outputs.
    report : callable
        Called with the rows of each block when it has finished, and at the end
        with the row of each item that killed its actors.
    progress : callable
        Called for each finished block with its number of input bytes and the
        duration of its restored audio in seconds, and likewise for each item
        that killed its actors.
    arguments : argparse.Namespace
        Arguments of ``miipher2 restore``.
    restorer : miipher2.inference.restorer.Restorer
        The model. Each actor loads its own copy.

    Raises
    ------
    UserError
        If Ray cannot be started, or the model cannot be loaded or run.
    """
    if not items:
        return
    pending = {item.ID: item for item in _absolute_inputs(items)}
    with _connect() as ray:
        plan = _plan(ray.cluster_resources(), arguments)
        unit, actors, _ = plan
        size = sum(item.size for item in items) / actors / BLOCKS_PER_ACTOR
        size = min(size, BLOCK_BYTES[unit])
        for retrying in (False, True):
            blocks = group(pending.values(), 0 if retrying else size)
            if not blocks:
                return
            if retrying:
                logger.warning(
                    "some blocks failed %d times because their actors died; "
                    "retrying their %d inputs one by one",
                    TRIES,
                    len(blocks),
                )
            constructor = settings, _absolute_paths(arguments)
            for rows in _restore(ray, blocks, constructor, plan):
                done = [
                    pending.pop(row.ID) for row in rows if row.ID in pending
                ]
                for row in rows:
                    report(row)
                progress(
                    sum(item.size for item in done),
                    sum(row.seconds for row in rows if row.bytes),
                )
    for item in pending.values():
        progress(item.size, 0.0)
        report(_failed_row(item, settings, arguments, restorer.identity))


def _failed_row(item, settings, arguments, model):
    """Clean up after an item that killed its actors; return its row."""
    path, suffix = Path(arguments.output, item.output), f".{arguments.format}"
    partial_path(path).unlink(missing_ok=True)
    used = str(settings)
    if is_tar(item.ID):
        TarJob(item, arguments.output, suffix).clean()
        used = tar_settings(settings, suffix)
    return Row.of(
        item,
        status="failed",
        reason=f"its actor died {TRIES} times",
        model=model,
        settings=used,
        finished=now(),
    )


def _restore(ray, blocks, constructor, plan):
    """Yield the rows of each block as soon as it has finished."""
    unit, actors, resources = plan
    logger.info(
        "%d actors with %d %s each, %d blocks",
        actors,
        *resources.values(),
        unit,
        len(blocks),
    )
    finished = ray.data.from_items(
        [{"block": pickle.dumps(block)} for block in blocks],
        override_num_blocks=len(blocks),
    ).map_batches(
        Actor,
        batch_size=1,
        # With one task in flight per actor, no block waits for a busy actor
        # while another actor is idle.
        compute=ray.data.ActorPoolStrategy(
            size=actors, max_tasks_in_flight_per_actor=1
        ),
        fn_constructor_args=constructor,
        max_restarts=-1,
        max_task_retries=TRIES - 1,
        **resources,
    )
    for batch in finished.iter_batches(batch_size=1, prefetch_batches=0):
        rows = pickle.loads(batch["rows"][0])
        if isinstance(rows, Exception):
            raise rows
        yield rows


@contextlib.contextmanager
def _connect():
    """Connect to the Ray cluster, or start one; yield ``ray``."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        context = ray.data.DataContext.get_current()
        for name, value in DATA_CONTEXT.items():  # restored at the end
            stack.callback(setattr, context, name, getattr(context, name))
            setattr(context, name, value)
        if not ray.is_initialized():
            stack.enter_context(_start(ray))
        yield ray


def _start(ray):
    """Start Ray without its log output."""
    try:
        return ray.init(
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises no narrower class
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"--engine ray: cannot start Ray: {reason}") from None


def _plan(cluster, arguments):
    """Return the resource type, the number of actors and their options."""
    gpus = int(cluster.get("GPU", 0))
    if gpus and not (arguments.device or "").startswith("cpu"):
        return "GPU", arguments.actors or gpus, {"num_gpus": 1}
    cpus = int(cluster.get("CPU", 1))
    actors = arguments.actors or max(1, cpus // 2)
    return "CPU", actors, {"num_cpus": max(1, cpus // actors)}


def group(items, size):
    """Group items into blocks of about the same size, in order.

    Arguments
    ---------
    items : iterable of miipher2.inference.items.Item
        The items.
    size : float
        Bytes of input at which a block is complete.

    Returns
    -------
    list of list of Item
        The blocks; none is empty.

    Example
    -------
    >>> sizes = [argparse.Namespace(size=size) for size in (3, 2, 9, 1, 1)]
    >>> [[item.size for item in block] for block in group(sizes, 5)]
    [[3, 2], [9], [1, 1]]
    """
    blocks, filled = [], size
    for item in items:
        if filled >= size:
            blocks.append([])
            filled = 0
        blocks[-1].append(item)
        filled += item.size
    return blocks


def _absolute_inputs(items):
    """Make input paths absolute; actors have other working directories."""
    return [item._replace(input=item.input.absolute()) for item in items]


def _absolute_paths(arguments):
    """Make the paths of the output folder and the model absolute."""
    changed = {"output": Path(arguments.output).absolute()}
    if arguments.model and Path(arguments.model).exists():
        changed["model"] = str(Path(arguments.model).absolute())
    return argparse.Namespace(**{**vars(arguments), **changed})
