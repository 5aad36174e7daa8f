"""This process as the engine: recordings and tars through one pipeline.

Authors
 * The miipher2 authors 2026
"""

from miipher2.inference.batching import Engine
from miipher2.inference.corpus.pipeline import Pipeline
from miipher2.inference.corpus.tars import Tars
from miipher2.inference.corpus.workers import Processes


def run(items, settings, report, progress, arguments, restorer):
    """Restores items here.

    Arguments
    ---------
    items : list of miipher2.inference.items.Item
        What to restore. What goes wrong with one is in its row.
    settings : miipher2.inference.job.Settings
        How outputs are to be.
    report : callable
        Called with the row of every recording and of every tar.
    progress : callable
        Called with the bytes of input and the seconds of sound that were just
        restored.
    arguments : argparse.Namespace
        Those of ``miipher2 restore``.
    restorer : miipher2.inference.restorer.Restorer
        The model.

    Raises
    ------
    UserError
        If the model or the report cannot go on.
    """
    tars = Tars(
        arguments.output, f".{arguments.format}", settings, restorer, report
    )
    try:
        pipeline = pipeline_for(restorer.device)(
            Engine(restorer, arguments.batch_seconds),
            arguments.output,
            settings,
            tars.take,
            progress,
            arguments.workers,
        )
        pipeline.run(tars.unpack(items, pipeline.stop))
    finally:
        tars.clean()


def pipeline_for(device):
    """What reads and writes beside a device.

    Arguments
    ---------
    device : str or torch.device
        Where the model is.

    Returns
    -------
    class
        ``Pipeline``, whose threads are enough where the CPU restores, or
        ``Processes``.

    Example
    -------
    >>> pipeline_for("cpu").__name__, pipeline_for("cuda:0").__name__
    ('Pipeline', 'Processes')
    """
    return Pipeline if str(device).startswith("cpu") else Processes
