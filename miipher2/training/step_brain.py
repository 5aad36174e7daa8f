"""Base class of the Brains: step-based training, schedule, logs.

Authors
 * The miipher2 authors 2026
"""

import time
from collections import defaultdict
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.utils.logger import get_logger
from speechbrain.utils.metric_stats import MetricStats
from speechbrain.utils.train_logger import TensorboardLogger

from miipher2.errors import UserError

logger = get_logger(__name__)


class StepBrain(sb.Brain):
    """Base class of all stages; a run is measured in optimizer steps.

    An epoch is nominal: the training between two validations, see
    ``miipher2.training.loaders.StepLoader``.

    Arguments
    ---------
    max_steps : int
        Optimizer steps of the run.
    lr_schedule : callable
        Called with an optimizer and the number of the next step, from 1.
    output_folder : str
        Folder for logs and samples.
    train_logger : speechbrain.utils.train_logger.TrainLogger
        Logs the statistics of every validation.
    tensorboard : bool
        Whether to log to TensorBoard as well.
    minutes : float
        If given, the run ends after this time and the schedule is compressed
        into it. Such a run is not reproducible.
    **brain : dict
        Arguments of ``speechbrain.Brain``.
    """

    def __init__(
        self,
        *,
        max_steps,
        lr_schedule,
        output_folder,
        train_logger,
        tensorboard=False,
        minutes=None,
        **brain,
    ):
        super().__init__(**brain)
        self.max_steps = max_steps
        limit = self.optimizer_step_limit  # a run option, maybe a str
        limit = max_steps if limit is None else min(int(limit), max_steps)
        self.optimizer_step_limit = limit
        self.lr_schedule = lr_schedule
        self.minutes = minutes
        self.output_folder = Path(output_folder)
        self.loggers = [train_logger]
        if tensorboard:
            try:
                folder = str(self.output_folder / "tensorboard")
                self.loggers.append(TensorboardLogger(folder))
            except ImportError:
                raise UserError(
                    "--tensorboard: the package tensorboard is not installed; "
                    "pip install tensorboard"
                ) from None

    @property
    def best_key(self):
        """The statistic that ranks checkpoints; lower is better."""
        return "loss"

    @property
    def exports_last(self):
        """Whether to evaluate and export the last checkpoint, not the best."""
        return False

    def fit(self, epoch_counter, *args, **kwargs):
        """Train up to ``max_steps``; no-op if training has finished."""

        def epochs():
            while not self._optimizer_step_limit_exceeded:
                yield next(epoch_counter)

        self.start_time = time.monotonic()
        super().fit(epochs(), *args, **kwargs)

    def on_fit_start(self):
        """Create the optimizers and resume from the latest checkpoint."""
        super().on_fit_start()
        logger.info(
            f"{type(self).__name__} on {self.device} in {self.precision}, "
            f"{'resumed' if self.optimizer_step else 'starts'} at step "
            f"{self.optimizer_step} of {self.max_steps}"
        )

    def on_stage_start(self, stage, epoch=None):
        """Reset the statistics."""
        self.clip_stats = defaultdict(per_clip_stats)

    def on_fit_batch_start(self, batch, should_step):
        """Set the learning rate of the next step."""
        if should_step:
            step = self.optimizer_step + 1
            if self.minutes is not None:
                minutes = (time.monotonic() - self.start_time) / 60
                share = minutes / self.minutes
                step = max(1, int(min(share, 1.0) * self.max_steps))
                if share >= 1:  # the next step is the last
                    self.optimizer_step_limit = self.optimizer_step + 1
            for optimizer in self.optimizers_dict.values():
                self.lr_schedule(optimizer, step)

    def record(self, values, batch):
        """Add values of a batch to the statistics of the stage.

        Arguments
        ---------
        values : dict
            Name -> tensor ``(batch,)``.
        batch : speechbrain.dataio.batch.PaddedBatch
            Has the ``kind`` of every clip.
        """
        for name, tensor in values.items():
            self.clip_stats[name].append(batch.kind, tensor)

    def _should_save_intra_epoch_ckpt(self, *args):
        # checkpoints do not save gradients that are still being accumulated
        should = super()._should_save_intra_epoch_ckpt(*args)
        return should and self.step % self.grad_accumulation_factor == 0

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log and, after validation, save a checkpoint."""
        if stage == sb.Stage.TRAIN:
            self.train_stats = {"loss": stage_loss}
            return
        stats = self.stage_stats()
        meta = {"step": self.optimizer_step}
        if stage == sb.Stage.TEST:
            self._log(meta, test_stats=stats)
            return
        optimizer = next(iter(self.optimizers_dict.values()))
        meta["lr"] = optimizer.param_groups[0]["lr"]
        self._log(meta, train_stats=self.train_stats, valid_stats=stats)
        self.checkpointer.save_and_keep_only(
            meta={self.best_key: stats[self.best_key]},
            min_keys=[self.best_key],
        )

    def stage_stats(self):
        """Return the statistics to log: name -> mean over the clips."""
        return {
            name: stats.summarize("average")
            for name, stats in self.clip_stats.items()
        }

    def on_evaluate_start(self, **keys):
        """Load the best checkpoint, or the last if ``exports_last``."""
        if self.checkpointer.recover_if_possible() is None:
            raise UserError(
                f"{self.checkpointer.checkpoints_dir}: no checkpoint to "
                "evaluate; train first"
            )
        if not self.exports_last:
            self.checkpointer.recover_if_possible(min_key=self.best_key)

    @staticmethod
    def unwrap(module):
        """Return a module without its DDP wrapper."""
        return getattr(module, "module", module)

    def _log(self, stats_meta, **stats):
        for train_logger in self.loggers:
            train_logger.log_stats(stats_meta, **stats)


def per_clip_stats():
    """Return a ``MetricStats`` for values that are already computed.

    Example
    -------
    >>> stats = per_clip_stats()
    >>> stats.append(["noise", "reverb"], torch.tensor([1.0, 3.0]))
    >>> stats.summarize("average"), stats.ids
    (2.0, ['noise', 'reverb'])
    """
    return MetricStats(metric=lambda values: values.to("cpu", torch.float64))
