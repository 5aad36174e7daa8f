"""Base class of the Brains: step-based training, schedule and logs.

Authors
 * The miipher2 authors 2026
"""

import itertools
import signal
from collections import defaultdict
from pathlib import Path

import speechbrain as sb
import torch
import yaml
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_broadcast, if_main_process
from speechbrain.utils.logger import get_logger

from miipher2.errors import UserError
from miipher2.training.loaders import check_counts
from miipher2.training.loggers import RunLogger
from miipher2.training.run_length import RunLength
from miipher2.training.run_progress import RunProgress
from miipher2.training.statistics import TermMeans, per_clip_stats
from miipher2.training.stop_signals import StopSignals

logger = get_logger(__name__)

FEW_STEPS = 0.1  # fraction of the default steps below which a hint is printed


@register_checkpoint_hooks
class StepBrain(sb.Brain):
    """Base class of the Brains, which measure training in optimizer steps.

    An epoch is the training between two validations. Checkpoints store the
    number of optimizer steps, so that gradient accumulation, validation
    interval and number of processes may change when a run is resumed.

    Arguments
    ---------
    max_steps : int
        Number of optimizer steps of the run. With ``minutes``, it is only the
        length of the schedule.
    valid_interval : int
        Number of optimizer steps between two validations.
    lr_schedule : callable
        Called with an optimizer and the position of the next step in the
        schedule, counted from 1.
    output_folder : str
        Folder of the run, to which stage 2 writes audio samples.
    train_logger : speechbrain.utils.train_logger.TrainLogger
        Text logger of training, validation and test statistics.
    logger : callable
        Called to create a logger with the methods of ``RunLogger``.
    minutes : float
        If given, the run ends after this time instead of after ``max_steps``,
        and the schedule is scaled to this time. Such a run is not reproducible.
    **brain : dict
        Arguments of ``speechbrain.Brain``.
    """

    def __init__(
        self,
        *,
        max_steps,
        valid_interval,
        lr_schedule,
        output_folder,
        train_logger,
        logger=RunLogger,
        minutes=None,
        **brain,
    ):
        check_counts(valid_interval=valid_interval)
        super().__init__(**brain)
        # optimizer_step_limit is a run option and may be a string
        self.length = RunLength(max_steps, minutes, self.optimizer_step_limit)
        self.optimizer_step_limit = self.length.steps
        self.valid_interval = valid_interval
        self.validated_step = 0  # optimizer step of the last validation
        self.train_stats = None  # None except during validation
        self.train_terms = TermMeans()
        self.progress = None
        self.signals = StopSignals()
        self.lr_schedule = lr_schedule
        self.output_folder = Path(output_folder)
        self.train_logger = train_logger
        self.logger = logger()
        self.shown = {}  # clips of the current stage, ShownClip by name

    @property
    def best_key(self):
        """Key of the statistic that ranks checkpoints; lower is better."""
        return "loss"

    @property
    def exported_checkpoint(self):
        """Description of the exported checkpoint, for the log."""
        return f"the checkpoint with the lowest valid {self.best_key}"

    @property
    def exports_last(self):
        """Whether the last checkpoint is exported instead of the best."""
        return False

    def fit(self, epoch_counter, *args, **kwargs):
        """Train to the end of the run; do nothing if the run is complete.

        Raises
        ------
        SystemExit
            After Ctrl-C (status 130) or SIGTERM (status 143). A checkpoint is
            saved first, unless a signal is repeated after 2 s.
        """

        def epochs():
            while (
                not self._optimizer_step_limit_exceeded
                or self.validated_step < self.optimizer_step
            ):
                yield next(epoch_counter)

        self.length.start()
        try:
            with self.signals:
                super().fit(epochs(), *args, **kwargs)
        finally:
            if self.progress is not None:
                self.progress.close()

    def on_fit_start(self):
        """Create the optimizers and resume from the latest checkpoint."""
        super().on_fit_start()
        logger.info(
            f"{type(self).__name__} on {self.device} in {self.precision}, "
            f"{'resumed' if self.optimizer_step else 'started'} at step "
            f"{self.optimizer_step} {self.length}"
        )
        logger.info(
            f"exported at the end: {self.exported_checkpoint}; Ctrl-C and "
            f"SIGTERM save a checkpoint; a crash loses {self._crash_loses()}"
        )
        self.progress = RunProgress(
            self.optimizer_step,
            self.length,
            disable=self.noprogressbar or not if_main_process(),
            colour=self.tqdm_barcolor["train"] or None,
        )

    def _crash_loses(self):
        if self.ckpt_interval_minutes:
            return f"up to {self.ckpt_interval_minutes} minutes"
        steps = self.ckpt_interval_steps or self.valid_interval
        return f"up to {steps} steps"

    def _fit_train(self, train_set, epoch, enable):
        """Train to the next validation, without SpeechBrain's progress bar."""
        factor = self.grad_accumulation_factor
        self.step = factor * (self.optimizer_step - self.validated_step)
        steps = self.validated_step + self.valid_interval
        steps = min(steps, self.optimizer_step_limit) - self.optimizer_step
        batches = itertools.islice(train_set, factor * max(0, steps))
        super()._fit_train(batches, epoch, enable=False)

    def optimizers_step(self):
        """Update the parameters and the progress bar."""
        super().optimizers_step()
        if self.progress is not None:  # None before fit
            self.progress.update(self.avg_train_loss)

    def outcome(self, default_steps):
        """Return a summary of the result, for the last line of a run.

        Arguments
        ---------
        default_steps : int
            Number of optimizer steps in the YAML of the experiment.

        Returns
        -------
        str
            One or two sentences with the steps and the main test statistic.
        """
        name = self.watched_key
        value = self.test_stats.get(name, float("nan"))
        line = (
            f"Trained for {self.optimizer_step:,} steps (default: "
            f"{default_steps:,}), test {name} {value:.3g}."
        )
        if self.optimizer_step < FEW_STEPS * default_steps:
            line += (
                " Good results need more steps, unless the run was initialised "
                "from --start_folder."
            )
        return line

    @property
    def watched_key(self):
        """Key of the main statistic."""
        return self.best_key

    def evaluate(self, *args, **kwargs):
        """Evaluate like ``speechbrain.Brain``; stop on signals like ``fit``."""
        with self.signals:
            return super().evaluate(*args, **kwargs)

    def evaluate_batch(self, batch, stage):
        """Evaluate a batch unless a stop was requested."""
        if self._stop_is_due():
            if stage == sb.Stage.VALID:
                self._save_intra_epoch_ckpt()
            self._stop()
        return super().evaluate_batch(batch, stage)

    def _stop_is_due(self):
        # all processes must stop at the same step
        return bool(ddp_broadcast(self.signals.received))

    def _stop(self):
        number = self.signals.received or signal.SIGTERM
        logger.info(
            f"stopped by {signal.Signals(number).name} at step "
            f"{self.optimizer_step} {self.length}; the same command "
            f"resumes from {self.checkpointer.checkpoints_dir}"
        )
        raise SystemExit(128 + number)

    def on_stage_start(self, stage, epoch=None):
        """Reset the statistics and the clips."""
        self.clip_stats = defaultdict(per_clip_stats)
        self.shown = {}

    def check_loss_isfinite(self, loss):
        """Raise an error if the loss is not finite, before the optimizer step.

        With fp16 or ``--skip_nonfinite_grads``, such a step is skipped with a
        warning, up to ``--nonfinite_patience`` times between validations.

        Returns
        -------
        bool
            Whether the loss is finite.

        Raises
        ------
        UserError
            If the loss is not finite and the step is not skipped. The message
            names the step and the clips of the batch.
        """
        if torch.isfinite(loss):
            return True
        self.nonfinite_count += 1
        message = (
            f"step {self.optimizer_step + 1}: the loss is {loss.item()}; clips "
            f"of the batch: {', '.join(self.batch_ids)}"
        )
        skipped = self.scaler.is_enabled() or self.skip_nonfinite_grads
        if not skipped or self.nonfinite_count > self.nonfinite_patience:
            raise UserError(
                f"{message}; listen to these clips, or lower --lr; the same "
                "command resumes from the last checkpoint"
            )
        logger.warning(f"{message}; skipped")
        return False

    def on_fit_batch_start(self, batch, should_step):
        """Seed the random number generator; set the learning rate."""
        self.batch_ids = batch.id
        # a resumed run uses the same random numbers
        torch.manual_seed(self.optimizer_step)
        if should_step:
            step = self.length.schedule_step(self.optimizer_step + 1)
            self.optimizer_step_limit = self.length.steps
            for optimizer in self.optimizers_dict.values():
                self.lr_schedule(optimizer, step)

    def record(self, values, batch):
        """Add values of a batch to the statistics of the stage.

        Arguments
        ---------
        values : dict
            Tensors ``(batch,)`` by name.
        batch : speechbrain.dataio.batch.PaddedBatch
            The batch, with the ``kind`` of degradation of each clip.
        """
        for name, tensor in values.items():
            self.clip_stats[name].append(batch.kind, tensor)

    def _should_save_intra_epoch_ckpt(self, *args):
        # checkpoints do not contain accumulated gradients
        if self.step % self.grad_accumulation_factor:
            return False
        if self._stop_is_due():
            self._save_intra_epoch_ckpt()
            self._stop()
        return super()._should_save_intra_epoch_ckpt(*args)

    @mark_as_saver
    def _save(self, path):
        """Save step counts and the mean losses since the last validation."""
        if not if_main_process():
            return
        loss = self.avg_train_loss
        if self.train_stats is not None:  # avg_train_loss was reset
            loss = self.train_stats["loss"]
        state = {
            "optimizer_step": self.optimizer_step,
            "validated_step": self.validated_step,
            "avg_train_loss": float(loss),
            "train_terms": self.train_terms.state(),
        }
        Path(path).write_text(yaml.dump(state), "utf-8")

    @mark_as_loader
    def _recover(self, path, end_of_epoch):
        """Load a file written by ``_save`` or by ``speechbrain.Brain``."""
        state = yaml.safe_load(Path(path).read_text("utf-8"))
        self.optimizer_step = state["optimizer_step"]
        self.avg_train_loss = state["avg_train_loss"]
        self.validated_step = state.get("validated_step", self.optimizer_step)
        self.train_terms.load(state.get("train_terms", {}))

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log the statistics; after validation, save a checkpoint."""
        if stage == sb.Stage.TRAIN:
            self.train_stats = {"loss": stage_loss} | self.train_terms.means()
            return
        stats = self.stage_stats()
        meta = {"step": self.optimizer_step}
        if stage == sb.Stage.TEST:
            self.test_stats = stats
            self._log(meta, test_stats=stats)
            return
        optimizer = next(iter(self.optimizers_dict.values()))
        meta["lr"] = optimizer.param_groups[0]["lr"]
        self._log(meta, train_stats=self.train_stats, valid_stats=stats)
        self.logger.log_clips(self.optimizer_step, self.shown)
        self.validated_step = self.optimizer_step
        self.train_stats = None
        self.train_terms = TermMeans()
        self.checkpointer.save_and_keep_only(
            meta={self.best_key: stats[self.best_key]},
            min_keys=[self.best_key],
        )

    def stage_stats(self):
        """Return the mean of each statistic over the clips, for the logs."""
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
        self.train_logger.log_stats(stats_meta, **stats)
        self.logger.log_stats(stats_meta, **stats)
