"""The Brains of the two training stages.

What they are given, the YAML wires: every class and number that they use
stands there by name.

Authors
 * The miipher2 authors 2026
"""

from collections import defaultdict
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.dataio import audio_io
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.logger import get_logger
from speechbrain.utils.train_logger import TensorboardLogger

from miipher2.errors import UserError

logger = get_logger(__name__)


class Means(defaultdict):
    """Means of named values over the clips of a stage.

    Example
    -------
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

    An epoch is a nominal one, see ``miipher2.data.StepLoader``.

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
        **brain,
    ):
        super().__init__(**brain)
        self.max_steps = self.optimizer_step_limit = max_steps
        self.lr_schedule = lr_schedule
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

    def fit(self, epoch_counter, *args, **kwargs):
        """Trains until ``max_steps``; a run that is there is left alone."""

        def epochs():
            while self.optimizer_step < self.max_steps:
                yield next(epoch_counter)

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
            for optimizer in self.optimizers_dict.values():
                self.lr_schedule(optimizer, self.optimizer_step + 1)

    def _should_save_intra_epoch_ckpt(self, *args):
        # gradients that wait for their step are in no checkpoint
        should = super()._should_save_intra_epoch_ckpt(*args)
        return should and self.step % self.grad_accumulation_factor == 0

    def on_evaluate_start(self, **keys):
        """Takes the best checkpoint of the run's last phase."""
        if self.checkpointer.recover_if_possible() is None:
            raise UserError(
                f"{self.checkpointer.checkpoints_dir}: no checkpoint to "
                "evaluate; train first"
            )
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


class AdapterBrain(RestorationBrain):
    """Stage 1: the adapters learn to give clean features for degraded speech.

    The figure to read is ``ratio``: the loss divided by that of doing nothing,
    the frozen features of the degraded speech.

    Arguments
    ---------
    feature_loss : miipher2.losses.FeatureLoss
        Compares features.
    **restoration : dict
        Arguments of ``RestorationBrain``; its modules: ``cleaner``.
    """

    def __init__(self, *, feature_loss, **restoration):
        super().__init__(**restoration)
        self.feature_loss = feature_loss

    def compute_forward(self, batch, stage):
        """Gives predicted and target features, ``(batch, frames, width)``."""
        noisy, lengths = batch.noisy
        clean, _ = batch.clean
        return self.modules.cleaner(
            noisy.to(self.device),
            lengths.to(self.device),
            clean.to(self.device),
        )

    def compute_objectives(self, predictions, batch, stage):
        """Compares the features; in validation also those of doing nothing."""
        predicted, target = predictions
        noisy, lengths = batch.noisy
        lengths = lengths.to(self.device)
        terms = self.feature_loss(predicted, target, lengths)
        if stage != sb.Stage.TRAIN:
            cleaner = self.lower(self.modules.cleaner)
            untouched = cleaner.target(noisy.to(self.device), lengths)
            nothing = self.feature_loss(untouched, target, lengths)
            terms["nothing"] = nothing["loss"]
            self.means.add(terms, batch.kind)
        return terms["loss"].mean()

    def figures(self, means):
        """Each term, and the ratios to doing nothing."""
        figures = means.overall()
        figures["ratio"] = self.ratio(figures["loss"], figures.pop("nothing"))
        losses, nothing = means.by_kind("loss"), means.by_kind("nothing")
        if len(losses) > 1:
            for kind, loss in losses.items():
                figures[f"ratio {kind}"] = self.ratio(loss, nothing[kind])
        return figures

    @staticmethod
    def ratio(loss, nothing):
        """Not a number where nothing was degraded, as in a chain left clean."""
        return loss / nothing if nothing > 0 else float("nan")


class VocoderBrain(RestorationBrain):
    """Stage 2: a vocoder learns to speak features.

    First those of clean speech, then, from ``pretrain_steps`` on, those that
    the cleaner with its frozen adapters predicts from degraded speech
    (Miipher-2, section 3). For the first ``mel_steps`` only the spectral loss
    is used, which is several times cheaper than the adversarial one.

    Arguments
    ---------
    spectral_loss : callable
        Of made and true sound; its value is the mel error that is logged.
    generator_loss : speechbrain.lobes.models.HifiGAN.GeneratorLoss
        Used from ``mel_steps`` on.
    discriminator_loss : speechbrain.lobes.models.HifiGAN.DiscriminatorLoss
        Used from ``mel_steps`` on.
    vocoder_frames : int
        Frames of a training segment.
    pretrain_steps : int
        Steps on the features of clean speech.
    mel_steps : int
        Steps without the discriminator.
    valid_samples : int
        Clips to write at every validation.
    **restoration : dict
        Arguments of ``RestorationBrain``; its modules: ``cleaner``,
        ``generator``, ``discriminator``.
    """

    def __init__(
        self,
        *,
        spectral_loss,
        generator_loss,
        discriminator_loss,
        vocoder_frames,
        pretrain_steps,
        mel_steps=0,
        valid_samples=4,
        **restoration,
    ):
        super().__init__(**restoration)
        self.spectral_loss = spectral_loss
        self.generator_loss = generator_loss
        self.discriminator_loss = discriminator_loss
        self.vocoder_frames = vocoder_frames
        self.pretrain_steps = pretrain_steps
        self.mel_steps = mel_steps
        self.valid_samples = valid_samples

    @property
    def best_key(self):
        """Mel error; those of the two phases are not compared."""
        return f"mel {self.phase}"

    @property
    def phase(self):
        """Which features the vocoder hears: of ``clean`` or ``restored``."""
        pretraining = self.optimizer_step < self.pretrain_steps
        return "clean" if pretraining else "restored"

    @property
    def adversarial(self):
        """Whether the discriminator takes part."""
        return self.optimizer_step >= self.mel_steps

    def init_optimizers(self):
        """One optimizer for the generator, one for the discriminator."""
        self.optimizers_dict = {}
        for name in ("generator", "discriminator"):
            optimizer = self.opt_class(self.modules[name].parameters())
            self.optimizers_dict[name] = optimizer
            if self.checkpointer is not None:
                self.checkpointer.add_recoverable(f"opt_{name}", optimizer)

    def freeze_optimizers(self, optimizers):
        """Leaves the discriminator out until it takes part."""
        if self.adversarial:
            return optimizers
        return {"generator": optimizers["generator"]}

    @torch.no_grad()
    def features(self, batch):
        """Features ``(batch, frames, width)`` of the phase that it is."""
        if self.phase == "clean":
            wavs, lengths = batch.clean
            extract = self.modules.cleaner.target
        else:
            wavs, lengths = batch.noisy
            extract = self.modules.cleaner
        return extract(wavs.to(self.device), lengths.to(self.device))

    def compute_forward(self, batch, stage):
        """Speaks: segments in training, whole clips in validation.

        Returns
        -------
        tuple
            Made and true sound, each ``(batch, 1, time)``.
        """
        features = self.features(batch)
        target = batch.target.data.to(self.device)
        hop = self.lower(self.modules.generator).hop_length
        if stage == sb.Stage.TRAIN:
            features, target = self.segments(features, target, batch, hop)
        made = self.modules.generator(features).float()
        missing = made.shape[1] - target.shape[1]  # cut if negative
        target = torch.nn.functional.pad(target, (0, missing))
        return made[:, None], target[:, None]

    def segments(self, features, target, batch, hop):
        """Cuts features and sound at the same place of every clip."""
        size = self.vocoder_frames
        cut_features, cut_target = [], []
        lengths = batch.target.lengths * target.shape[1] / hop
        for index, (cut, frames) in enumerate(
            zip(batch.cut, lengths.tolist(), strict=True)
        ):
            frames = min(int(frames), features.shape[1])
            start = int(float(cut) * (max(0, frames - size) + 1))
            short = max(0, size - frames)
            cut_features.append(
                torch.nn.functional.pad(
                    features[index, start : start + size - short],
                    (0, 0, 0, short),
                )
            )
            cut_target.append(
                torch.nn.functional.pad(
                    target[index, start * hop : (start + size - short) * hop],
                    (0, short * hop),
                )
            )
        return torch.stack(cut_features), torch.stack(cut_target)

    def fit_batch(self, batch):
        """One step of both networks, on the same sound.

        The discriminator's scores of the true sound serve its own loss and
        the generator's feature matching, so they are computed once.
        """
        should_step = (self.step % self.grad_accumulation_factor) == 0
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                made, target = self.compute_forward(batch, sb.Stage.TRAIN)
            if self.adversarial:
                losses = self.adversarial_losses(made, target)
            else:
                losses = self.generator_loss(sb.Stage.TRAIN, made, target)
                losses = {"G_loss": losses["G_loss"]}
            self.check_loss_isfinite(losses["G_loss"])
            for loss in losses.values():
                scaled = loss / self.grad_accumulation_factor
                self.scaler.scale(scaled).backward()
        if should_step:
            self.optimizers_step()
        return losses["G_loss"].detach().cpu()

    def adversarial_losses(self, made, target):
        """Losses of the discriminator and of the generator."""
        discriminator = self.modules.discriminator
        with self.training_ctx:
            # one call, as DDP wants it: half the batch is true, half is made
            scores, features = discriminator(torch.cat([target, made.detach()]))
            frozen = self.lower(discriminator)
            frozen.requires_grad_(False)
            scores_made, features_made = frozen(made)
            frozen.requires_grad_(True)
        half = len(made)
        d_loss = self.discriminator_loss(
            [score[half:].float() for score in scores],
            [score[:half].float() for score in scores],
        )["D_loss"]
        g_loss = self.generator_loss(
            sb.Stage.TRAIN,
            made,
            target,
            [score.float() for score in scores_made],
            [[f.float() for f in layer] for layer in features_made],
            [[f[:half].detach().float() for f in layer] for layer in features],
        )["G_loss"]
        return {"D_loss": d_loss, "G_loss": g_loss}

    def compute_objectives(self, predictions, batch, stage):
        """Mel error of every clip; keeps some clips to listen to."""
        made, target = predictions
        lengths = (batch.target.lengths * batch.target.data.shape[1]).long()
        errors = []
        for index, length in enumerate(lengths.tolist()):
            # the spectral loss needs a window of samples
            pair = [
                torch.nn.functional.pad(
                    wav[index, :, :length], (0, max(0, 1024 - length))
                )
                for wav in (made, target)
            ]
            errors.append(self.spectral_loss(*pair))
            if len(self.samples) < self.valid_samples:
                self.samples[batch.id[index]] = [wav.cpu() for wav in pair]
        errors = torch.stack(errors)
        self.means.add({self.best_key: errors}, batch.kind)
        return errors.mean()

    def on_stage_start(self, stage, epoch=None):
        """Empties what validation collects; says which phase it is."""
        super().on_stage_start(stage, epoch)
        self.samples = {}
        if stage == sb.Stage.TRAIN:
            logger.info(f"vocoder: features of {self.phase} speech")

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs, saves, and writes the clips to listen to."""
        if stage == sb.Stage.VALID:
            run_on_main(self.write_samples)
        super().on_stage_end(stage, stage_loss, epoch)

    def write_samples(self):
        """Writes ``samples/<step>/<clip>_{made,true}.wav``."""
        rate = self.lower(self.modules.generator).sample_rate
        folder = self.output_folder / "samples" / f"{self.optimizer_step:07d}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, wavs in self.samples.items():
            stem = name.replace("/", "-")
            for wav, side in zip(wavs, ("made", "true"), strict=True):
                audio_io.save(folder / f"{stem}_{side}.wav", wav, rate)
