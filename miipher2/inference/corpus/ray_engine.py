"""Ray Data as the engine: actors all over a cluster restore side by side.

Items go out in blocks, and what became of them comes back. A block whose
actor is lost goes to another one, or to the same one started anew, and is done
again as a whole: outputs appear whole or not at all, so nothing is lost. Items
of a block that is lost again and again are tried one by one, so that the one
that ends its actors fails alone.

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
from miipher2.inference.corpus.sharding import load
from miipher2.inference.corpus.tar_job import TarJob
from miipher2.inference.corpus.tars import tar_settings
from miipher2.inference.items import Row, now

logger = logging.getLogger("miipher2.inference")

# At most so many bytes of inputs are in a block: hours of sound on a GPU,
# whose last batches are never full, minutes on CPUs, which are slow.
BLOCK_BYTES = {"GPU": 2**30, "CPU": 2**26}
BLOCKS_PER_ACTOR = 4  # at least, so that all end at about the same time
TRIES = 3  # of a block, and then of each item in it
DATA_CONTEXT = {
    "enable_progress_bars": False,
    "print_on_execution_start": False,
    "max_errored_blocks": -1,  # those whose actors were lost
    # a block may take longer than the 10 minutes without any sign after which
    # Ray gives up
    "execution_no_progress_timeout_s": 24 * 3600.0,
}


class Worker:
    """An actor: holds the model and restores one block after the other.

    Arguments
    ---------
    settings : miipher2.inference.job.Settings
        How outputs are to be.
    arguments : argparse.Namespace
        Those of ``miipher2 restore``.
    """

    def __init__(self, settings, arguments):
        self.settings = settings
        self.arguments = arguments

    @functools.cached_property
    def restorer(self):
        """The model; what is wrong with it, a block tells."""
        return load(self.arguments)

    def __call__(self, batch):
        """Restores the items of a block.

        Arguments
        ---------
        batch : dict
            ``block``: one block, pickled, as names need not be valid UTF-8,
            which Arrow wants.

        Returns
        -------
        dict
            ``rows``: those of the block, pickled; or an exception, which ends
            the run. Ray takes those that it sees for a lost block.
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
        except Exception:  # a fault of the program: no use in trying again
            rows = RuntimeError(traceback.format_exc())
        return {"rows": [pickle.dumps(rows)]}


def check_cluster(arguments):
    """Makes sure that Ray can be the engine.

    Arguments
    ---------
    arguments : argparse.Namespace
        With ``num_shards``.

    Raises
    ------
    UserError
        If Ray is not there, or something else splits the work, too.

    Example
    -------
    >>> check_cluster(argparse.Namespace(num_shards=2))
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: --engine ray: splits the work by itself; ...
    """
    if arguments.num_shards > 1 or "WORLD_SIZE" in os.environ:
        raise UserError(
            "--engine ray: splits the work by itself; leave out --num-shards "
            "and torchrun"
        )
    try:
        import ray.data  # noqa: F401
    except ImportError:
        raise UserError(
            "--engine ray: needs Ray: pip install miipher2[ray]"
        ) from None


def look(arguments):
    """Loads the model on the CPU, to see what it is; the actors have the GPUs.

    Arguments
    ---------
    arguments : argparse.Namespace
        As ``miipher2.inference.corpus.sharding.load`` takes it.

    Returns
    -------
    Restorer
        Not for restoring.
    """
    return load(argparse.Namespace(**{**vars(arguments), "device": "cpu"}))


def run(items, settings, report, progress, arguments, restorer):
    """Restores items on a Ray cluster, or on this machine if there is none.

    Arguments
    ---------
    items : list of miipher2.inference.items.Item
        What to restore. What goes wrong with one is in its row.
    settings : miipher2.inference.job.Settings
        How outputs are to be.
    report : callable
        Called with the row of every recording and of every tar, whenever a
        block is done.
    progress : callable
        Called with the bytes of input and the seconds of sound that were
        restored.
    arguments : argparse.Namespace
        Those of ``miipher2 restore``.
    restorer : miipher2.inference.restorer.Restorer
        The model; each actor has its own.

    Raises
    ------
    UserError
        If the model cannot go on.
    """
    if not items:
        return
    left = {item.ID: item for item in _everywhere(items)}
    with _connected() as ray:
        unit, actors, resources = _share(ray.cluster_resources(), arguments)
        size = sum(item.size for item in items) / actors / BLOCKS_PER_ACTOR
        for alone in (False, True):
            whole = min(size, BLOCK_BYTES[unit])
            blocks = group(left.values(), 0 if alone else whole)
            if not blocks:
                return
            if alone:
                logger.warning(
                    "processes have ended, %d times in each of some blocks: "
                    "%d recordings are tried one by one",
                    TRIES,
                    len(blocks),
                )
            logger.info(
                "%d actors with %d %s each, %d blocks of work",
                actors,
                *resources.values(),
                unit,
                len(blocks),
            )
            worker = settings, _paths_everywhere(arguments)
            for rows in _restored(ray, blocks, worker, actors, resources):
                done = [left.pop(row.ID) for row in rows if row.ID in left]
                for row in rows:
                    report(row)
                progress(
                    sum(item.size for item in done),
                    sum(row.seconds for row in rows if row.bytes),
                )
    for item in left.values():
        progress(item.size, 0.0)
        report(_lost(item, settings, arguments, restorer.identity))


def _lost(item, settings, arguments, model):
    """The row of an item that has ended its processes, which leave nothing."""
    path, suffix = Path(arguments.output, item.output), f".{arguments.format}"
    partial_path(path).unlink(missing_ok=True)
    told = str(settings)
    if is_tar(item.ID):
        TarJob(item, arguments.output, suffix).clean()
        told = tar_settings(settings, suffix)
    return Row(
        item.ID,
        os.path.abspath(item.input),
        item.output,
        "failed",
        f"the process that restored it ended, {TRIES} times",
        model=model,
        settings=told,
        finished=now(),
    )


def _restored(ray, blocks, worker, actors, resources):
    """The rows of each block that is not lost, as they come."""
    done = ray.data.from_items(
        [{"block": pickle.dumps(block)} for block in blocks],
        override_num_blocks=len(blocks),
    ).map_batches(
        Worker,
        batch_size=1,
        # no block waits for one actor while another has nothing to do
        compute=ray.data.ActorPoolStrategy(
            size=actors, max_tasks_in_flight_per_actor=1
        ),
        fn_constructor_args=worker,
        max_restarts=-1,
        max_task_retries=TRIES - 1,
        **resources,
    )
    for batch in done.iter_batches(batch_size=1, prefetch_batches=0):
        rows = pickle.loads(batch["rows"][0])
        if isinstance(rows, Exception):
            raise rows
        yield rows


@contextlib.contextmanager
def _connected():
    """Ray, quiet, on the cluster that this process belongs to or a new one."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        context = ray.data.DataContext.get_current()
        for name, value in DATA_CONTEXT.items():  # back to the user's own
            stack.callback(setattr, context, name, getattr(context, name))
            setattr(context, name, value)
        if not ray.is_initialized():
            stack.enter_context(_started(ray))
        yield ray


def _started(ray):
    try:
        return ray.init(
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray itself raises nothing narrower
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"--engine ray: Ray does not start: {reason}") from None


def _share(cluster, arguments):
    """What the cluster is counted in, the actors, and what each of them gets."""
    gpus = int(cluster.get("GPU", 0))
    if gpus and not (arguments.device or "").startswith("cpu"):
        return "GPU", arguments.actors or gpus, {"num_gpus": 1}
    cpus = int(cluster.get("CPU", 1))
    actors = arguments.actors or max(1, cpus // 2)
    return "CPU", actors, {"num_cpus": max(1, cpus // actors)}


def group(items, size):
    """Groups items into blocks of about the same size.

    Arguments
    ---------
    items : iterable of miipher2.inference.items.Item
        They stay in order.
    size : float
        Bytes of inputs at which a block is full.

    Returns
    -------
    list of list of Item
        None of them is empty.

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


def _everywhere(items):
    """Actors work in other folders than this process."""
    return [item._replace(input=item.input.absolute()) for item in items]


def _paths_everywhere(arguments):
    changed = {"output": Path(arguments.output).absolute()}
    if arguments.model and Path(arguments.model).exists():
        changed["model"] = str(Path(arguments.model).absolute())
    return argparse.Namespace(**{**vars(arguments), **changed})
