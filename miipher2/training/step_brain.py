"""What the Brains of all stages have in common.

What they are given, the YAML wires: every class and number that they use
stands there by name.

Authors
 * The miipher2 authors 2026
"""

import time
from collections import defaultdict
from pathlib import Path

import speechbrain as sb
from speechbrain.utils.logger import get_logger
from speechbrain.utils.train_logger import TensorboardLogger

from miipher2.errors import UserError
from miipher2.inference.freed_memory import keep_freed_memory

logger = get_logger(__name__)


class Means(defaultdict):
    """Means of named values over the clips of a stage.

    Example
    -------
    >>> import torch
    >>> means = Means()
    >>> means.add({"loss": torch.tensor([1.0, 3.0])}, ["noise", "reverb"])
    >>> means.overall(), means.by_kind("loss")
    ({'loss': 2.0}, {'noise': 1.0, 'reverb': 3.0})
    """

    def __init__(self):
        super().__init__(list)

    def add(self, values, kinds):
        """Adds a batch.

        Arguments
        ---------
        values : dict
            Name -> tensor ``(batch,)``.
        kinds : list of str
            The degradation of every clip.
        """
        for name, batch in values.items():
            for value, kind in zip(batch.tolist(), kinds, strict=True):
                self[name, kind].append(value)

    def overall(self):
        """Means over all clips.

        Returns
        -------
        dict
            Name -> mean.
        """
        values = defaultdict(list)
        for (name, _), group in self.items():
            values[name] += group
        return {name: sum(v) / len(v) for name, v in values.items()}

    def by_kind(self, name):
        """Means of one value over the clips of each degradation.

        Arguments
        ---------
        name : str
            Which value.

        Returns
        -------
        dict
            Kind -> mean.
        """
        groups = {kind: v for (key, kind), v in self.items() if key == name}
        return {kind: sum(v) / len(v) for kind, v in groups.items()}


class RestorationBrain(sb.Brain):
    """What both stages share: steps, schedule, checkpoints, logs.

    An epoch is a nominal one, see ``miipher2.training.dataset.StepLoader``.

    Arguments
    ---------
    max_steps : int
        Optimizer steps of the run.
    lr_schedule : callable
        Called with an optimizer and the number of the step to come.
    output_folder : str
        Where to write what is not a checkpoint.
    train_logger : speechbrain.utils.train_logger.TrainLogger
        Gets the figures of every validation.
    tensorboard : bool
        Whether TensorBoard gets them too.
    minutes : float
        If given, the run ends after so long, and the schedule of ``max_steps``
        is gone through in this time. Such a run is not the same run again.
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
        if self.device == "cpu":
            keep_freed_memory()
        self.max_steps = self.optimizer_step_limit = max_steps
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
        """The figure by which checkpoints are compared; lower is better."""
        return "loss"

    @property
    def takes_last(self):
        """Whether the last checkpoint is exported, not the best."""
        return False

    def fit(self, epoch_counter, *args, **kwargs):
        """Trains until ``max_steps``; a run that is there is left alone."""

        def epochs():
            while self.optimizer_step < self.optimizer_step_limit:
                yield next(epoch_counter)

        self.started = time.monotonic()
        super().fit(epochs(), *args, **kwargs)

    def on_fit_start(self):
        """Goes on from the latest checkpoint, or starts."""
        super().on_fit_start()
        logger.info(
            f"{type(self).__name__} on {self.device} in {self.precision}, "
            f"{'resumed' if self.optimizer_step else 'starts'} at step "
            f"{self.optimizer_step} of {self.max_steps}"
        )

    def on_fit_batch_start(self, batch, should_step):
        """Sets the learning rate of the step to come."""
        if should_step:
            place = self.optimizer_step + 1
            if self.minutes is not None:
                share = (time.monotonic() - self.started) / 60 / self.minutes
                place = max(1, int(min(share, 1.0) * self.max_steps))
                if share >= 1:
                    self.optimizer_step_limit = self.optimizer_step + 1
            for optimizer in self.optimizers_dict.values():
                self.lr_schedule(optimizer, place)

    def _should_save_intra_epoch_ckpt(self, *args):
        # gradients that wait for their step are in no checkpoint
        should = super()._should_save_intra_epoch_ckpt(*args)
        return should and self.step % self.grad_accumulation_factor == 0

    def on_evaluate_start(self, **keys):
        """Takes the best checkpoint of the run's last phase, or the last."""
        if self.checkpointer.recover_if_possible() is None:
            raise UserError(
                f"{self.checkpointer.checkpoints_dir}: no checkpoint to "
                "evaluate; train first"
            )
        if not self.takes_last:
            self.checkpointer.recover_if_possible(min_key=self.best_key)

    def on_stage_start(self, stage, epoch=None):
        """Empties the means."""
        self.means = Means()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs and, after validation, saves."""
        if stage == sb.Stage.TRAIN:
            self.train_stats = {"loss": stage_loss}
            return
        stats = self.figures(self.means)
        logged = {"step": self.optimizer_step}
        if stage == sb.Stage.TEST:
            self._log(logged, test_stats=stats)
            return
        rates = [o.param_groups[0]["lr"] for o in self.optimizers_dict.values()]
        logged["lr"] = rates[0]
        self._log(logged, train_stats=self.train_stats, valid_stats=stats)
        self.checkpointer.save_and_keep_only(
            meta={self.best_key: stats[self.best_key]},
            min_keys=[self.best_key],
        )

    def figures(self, means):
        """Makes the figures of a validation from the means of its clips."""
        return means.overall()

    @staticmethod
    def lower(module):
        """The module itself, where DDP has wrapped it."""
        return getattr(module, "module", module)

    def _log(self, stats_meta, **stats):
        for train_logger in self.loggers:
            train_logger.log_stats(stats_meta, **stats)
