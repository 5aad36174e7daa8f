"""The engine that restores recordings and tars on this machine.

Authors
 * The miipher2 authors 2026
"""

from miipher2.inference.batching import Engine
from miipher2.inference.corpus.pipeline import Pipeline
from miipher2.inference.corpus.tars import TarJobs
from miipher2.inference.corpus.workers import WorkerPool


def run(items, settings, report, progress, arguments, restorer):
    """Restore items on this machine.

    Arguments
    ---------
    items : list of miipher2.inference.items.Item
        The items to restore.
    settings : miipher2.inference.job.Settings
        Settings of the outputs.
    report : callable
        Called with the manifest row of each recording and each tar, which
        contains the reason if it failed. For a failed tar, only the row of the
        tar is reported.
    progress : callable
        Called for each restored window with its share of the input in bytes and
        in seconds. The shares of a recording's windows add up to its size and
        duration.
    arguments : argparse.Namespace
        Arguments of ``miipher2 restore``.
    restorer : miipher2.inference.restorer.Restorer
        The model.

    Raises
    ------
    UserError
        If the model cannot run, a row cannot be reported, or a worker process
        dies before it has started.
    """
    tars = TarJobs(
        arguments.output, f".{arguments.format}", settings, restorer, report
    )
    try:
        pipeline = pipeline_for(restorer.device)(
            Engine(restorer, arguments.batch_seconds),
            arguments.output,
            settings,
            tars.collect,
            progress,
            arguments.workers,
        )
        pipeline.run(tars.unpack(items, pipeline.stop))
    finally:
        tars.clean()


def pipeline_for(device):
    """Return the pipeline class for a device.

    Arguments
    ---------
    device : str or torch.device
        The device of the model.

    Returns
    -------
    class
        ``Pipeline`` (threads) for the CPU, or ``WorkerPool`` (processes) for
        an accelerator.

    Example
    -------
    >>> pipeline_for("cpu").__name__, pipeline_for("cuda:0").__name__
    ('Pipeline', 'WorkerPool')
    """
    return Pipeline if str(device).startswith("cpu") else WorkerPool
