"""The Brain of stage 2, which trains a vocoder.

Authors
 * The miipher2 authors 2026
"""

import speechbrain as sb
import torch
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.logger import get_logger
from torch.nn.functional import pad
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from miipher2.dataio.bandwidth import low_pass
from miipher2.inference.features import repeat_last_frame
from miipher2.training.dataset import SSL_RATE, change_rate
from miipher2.training.segments import clip_mask, crop_segments, segment_starts
from miipher2.training.shown_clips import ShownClip, valid_part, write_clips
from miipher2.training.step_brain import StepBrain

logger = get_logger(__name__)

MIN_SAMPLES = 1024  # the spectral loss needs at least one window
SUMS = {"G_loss", "G_gen_loss", "G_adv_loss"}  # sums of other terms
LARGE = 13e6  # vocoders with more parameters train too slowly on a CPU


class VocoderBrain(StepBrain):
    """Brain of stage 2, which trains a vocoder to synthesise speech.

    The first ``pretrain_steps`` use features of clean speech. Later steps use
    features that the cleaner predicts from degraded speech. The adapters are
    frozen (Miipher-2, section 3) or, with ``train_adapters``, trained with the
    vocoder. The first ``mel_steps`` do not use the discriminator and are much
    faster. Losses are computed up to the bandwidth of the clean clip.

    In training, the vocoder also gets the clean pitch if it ``needs_pitch``.
    After ``pretrain_steps``, a vocoder with ``needs_recording`` also gets the
    degraded speech.

    Arguments
    ---------
    spectral_loss : callable
        Loss between predicted and target waveforms, logged as the mel error.
    generator_loss : speechbrain.lobes.models.HifiGAN.GeneratorLoss
        Loss of the generator.
    discriminator_loss : speechbrain.lobes.models.HifiGAN.DiscriminatorLoss
        Loss of the discriminator, used after ``mel_steps``.
    vocoder_frames : int
        Number of frames per training segment.
    pretrain_steps : int
        Number of initial steps on features of clean speech.
    mel_steps : int
        Number of initial steps without the discriminator.
    ssl_loss : callable
        Additional loss between predicted and target waveforms.
    train_adapters : bool
        Whether to train the adapters together with the vocoder.
    average_decay : float
        Decay of an exponential moving average of the generator's weights, which
        is validated and exported. 0.999 averages about 1,000 steps; 0 for none.
    valid_samples : int
        Number of clips to write and to log at every validation.
    **step_brain : dict
        Arguments of ``StepBrain``. ``modules`` must contain ``cleaner``,
        ``generator`` and ``discriminator``.
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
        ssl_loss=None,
        train_adapters=False,
        average_decay=0.0,
        valid_samples=4,
        **step_brain,
    ):
        if not train_adapters:  # sb.Brain counts the trainable parameters
            step_brain["modules"]["cleaner"].requires_grad_(False)
        super().__init__(**step_brain)
        self.spectral_loss = spectral_loss
        self.generator_loss = generator_loss
        self.discriminator_loss = discriminator_loss
        self.vocoder_frames = vocoder_frames
        self.pretrain_steps = pretrain_steps
        self.mel_steps = mel_steps
        self.ssl_loss = ssl_loss
        self.train_adapters = train_adapters
        if train_adapters:
            self.checkpointer.add_recoverable("cleaner", self.modules.cleaner)
        self.average = None
        if average_decay:
            self.average = AveragedModel(
                self.modules.generator,
                multi_avg_fn=get_ema_multi_avg_fn(average_decay),
            )
            self.checkpointer.add_recoverable("average", self.average)
        self.valid_samples = valid_samples

    @property
    def phase(self):
        """Current input of the vocoder: ``clean`` or ``restored`` features."""
        pretraining = self.optimizer_step < self.pretrain_steps
        return "clean" if pretraining else "restored"

    @property
    def adversarial(self):
        """Whether the current step uses the discriminator."""
        return self.optimizer_step >= self.mel_steps

    @property
    def best_key(self):
        """Key of the mel error, ``mel clean`` or ``mel restored``."""
        return f"mel {self.phase}"

    @property
    def exports_last(self):
        """True in adversarial training, as it can raise the mel error."""
        return self.adversarial

    @property
    def exported_checkpoint(self):
        """Description of the exported checkpoint, for the log."""
        if not self.mel_steps:
            return "the last checkpoint"
        return (
            "the last checkpoint, or the checkpoint with the lowest valid mel "
            f"error if the run has fewer than mel_steps={self.mel_steps} steps"
        )

    @property
    def exported_generator(self):
        """The generator that is validated and exported."""
        if self.average is not None:
            return self.average.module
        return self.unwrap(self.modules.generator)

    def init_optimizers(self):
        """Create one optimizer each for generator and discriminator."""
        trained = {name: [name] for name in ("generator", "discriminator")}
        if self.train_adapters:
            trained["generator"].append("cleaner")
        self.optimizers_dict = {}
        for name, modules in trained.items():
            parameters = [
                parameter
                for module in modules
                for parameter in self.modules[module].parameters()
                if parameter.requires_grad
            ]
            optimizer = self.opt_class(parameters)
            self.optimizers_dict[name] = optimizer
            if self.checkpointer is not None:
                self.checkpointer.add_recoverable(f"opt_{name}", optimizer)

    def on_fit_start(self):
        """Warn if a large vocoder is trained on a CPU; see ``StepBrain``."""
        generator = self.unwrap(self.modules.generator)
        count = sum(p.numel() for p in generator.parameters())
        if self.device == "cpu" and count > LARGE:
            logger.warning(
                f"{type(generator).__name__} has {count / 1e6:.0f} M "
                "parameters; on a CPU, a step takes about a minute; use "
                "--vocoder='!include:models/vocoder/hifigan_small.yaml' "
                "(or istft, harmonic) and --discriminator="
                "'!new:miipher2.models.discriminators.FrameDiscriminator'"
            )
        super().on_fit_start()

    def on_stage_start(self, stage, epoch=None):
        """Reset statistics and clips; log the input of the vocoder."""
        super().on_stage_start(stage, epoch)
        if stage == sb.Stage.TRAIN:
            logger.info(f"vocoder input: {self.phase} features")

    def input_speech(self, batch):
        """Return clean or degraded speech ``(batch, time)`` and its lengths."""
        return batch.clean if self.phase == "clean" else batch.noisy

    def compute_features(self, batch):
        """Return clean or restored features ``(batch, frames, width)``."""
        encode = self.modules.cleaner
        if self.phase == "clean":
            encode = self.unwrap(encode).target
        wavs, lengths = self.input_speech(batch)
        features = encode(wavs.to(self.device), lengths.to(self.device))
        # As in restoration, repeat the last frame in the padding.
        hop_length = self.unwrap(self.modules.cleaner).hop_length
        frames = (lengths * wavs.shape[1] / hop_length).ceil().long()
        return repeat_last_frame(features, frames)

    def compute_forward(self, batch, stage):
        """Synthesise segments in training, full clips in validation.

        Returns
        -------
        predicted, target : torch.Tensor
            Waveforms ``(batch, 1, time)``.
        own_loss : torch.Tensor
            Loss returned by the vocoder, plus ``ssl_loss`` in training.
        """
        inputs = {"features": self.compute_features(batch)}
        target = batch.target.data.to(self.device)
        generator = self.unwrap(self.modules.generator)
        if generator.needs_recording and self.phase == "restored":
            ssl_rate = self.unwrap(self.modules.cleaner).sample_rate
            same_rate = generator.sample_rate == ssl_rate
            recording = batch.noisy if same_rate else batch.recording
            inputs["recording"] = recording.data.to(self.device)
        if stage == sb.Stage.TRAIN:
            if generator.needs_pitch:
                inputs["pitch"] = batch.pitch.data.to(self.device)
            inputs, target, mask = self.segments(batch, inputs, target)
            predicted, own_loss = self.modules.generator(**inputs)
            # Do not train on the silence after the end of a short clip.
            predicted = predicted.float() * mask
        else:
            predicted, own_loss = self.exported_generator(**inputs)
        predicted = predicted.float()
        missing = predicted.shape[1] - target.shape[1]  # negative padding trims
        target = pad(target, (0, missing))
        bandwidth_hz = torch.tensor([float(hz) for hz in batch.bandwidth])
        predicted, target = (
            low_pass(wav, bandwidth_hz, generator.sample_rate)
            for wav in (predicted, target)
        )
        if self.ssl_loss is not None and stage == sb.Stage.TRAIN:
            own_loss = own_loss + self.ssl_loss(predicted, target)
        return predicted[:, None], target[:, None], own_loss

    def segments(self, batch, inputs, target):
        """Crop inputs and target to the same random segments.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            The batch; ``cut`` in [0, 1) gives the start of each segment.
        inputs : dict
            Full clips: ``features`` and, if used, ``pitch`` and ``recording``.
        target : torch.Tensor
            Waveforms ``(batch, time)``.

        Returns
        -------
        inputs : dict
            Segments of ``vocoder_frames`` frames, with the same keys.
        target : torch.Tensor
            Waveforms of the same segments.
        mask : torch.Tensor
            Mask with the shape of ``target``: 1 in a clip, 0 after its end.
        """
        generator = self.unwrap(self.modules.generator)
        hop_length = generator.hop_length
        values_per_frame = {
            "features": 1,
            "pitch": generator.subframes,
            "recording": hop_length,
            "target": hop_length,
            "mask": hop_length,
        }
        frames = batch.target.lengths * target.shape[1] / hop_length
        size = self.vocoder_frames
        starts = segment_starts(batch.cut, frames, size)
        clips = {**inputs, "target": target}
        clips["mask"] = clip_mask(batch.target.lengths, target)
        segments = {
            name: crop_segments(values, starts, size, values_per_frame[name])
            for name, values in clips.items()
        }
        target, mask = segments.pop("target"), segments.pop("mask")
        return segments, target, mask

    def compute_objectives(self, predictions, batch, stage):
        """Return the mel error in validation; collect clips for the loggers."""
        predicted, target, _ = predictions
        lengths = (batch.target.lengths * batch.target.data.shape[1]).long()
        errors = []
        for index, length in enumerate(lengths.tolist()):
            pair = [
                pad(wav[index, :, :length], (0, max(0, MIN_SAMPLES - length)))
                for wav in (predicted, target)
            ]
            errors.append(self.spectral_loss(*pair))
            if len(self.shown) < self.valid_samples:
                self.show(batch, index, *[wav.cpu() for wav in pair])
        errors = torch.stack(errors)
        self.record({self.best_key: errors}, batch)
        return errors.mean()

    def show(self, batch, index, predicted, target):
        """Store a clip ``(1, time)`` at the output rate for the loggers."""
        rate = self.unwrap(self.modules.generator).sample_rate
        wavs, lengths = self.input_speech(batch)
        wavs = valid_part({"input": wavs}, index, float(lengths[index]))
        wavs["input"] = change_rate(wavs["input"], SSL_RATE, rate)
        wavs |= {"predicted": predicted[0], "target": target[0]}
        self.shown[batch.id[index]] = ShownClip(wavs, rate)

    def fit_batch(self, batch):
        """Update the vocoder and the discriminator with one batch.

        Their losses share one forward pass of the discriminator.
        """
        should_step = (self.step % self.grad_accumulation_factor) == 0
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                predicted, target, own_loss = self.compute_forward(
                    batch, sb.Stage.TRAIN
                )
            if self.adversarial:
                losses = self.adversarial_losses(predicted, target)
            else:
                losses = self.generator_loss(sb.Stage.TRAIN, predicted, target)
            loss = losses["G_loss"] + own_loss
            if self.check_loss_isfinite(loss + losses.get("D_loss", 0.0)):
                self.train_terms.add({**losses, "own_loss": own_loss}, SUMS)
            if "D_loss" in losses:
                self.backward(
                    losses["D_loss"], "discriminator", retain_graph=True
                )
            self.backward(loss, "generator")
        if should_step:
            self.optimizers_step()
            if self.average is not None:
                self.average.update_parameters(
                    self.unwrap(self.modules.generator)
                )
        return loss.detach().cpu()

    def adversarial_losses(self, predicted, target):
        """Return ``D_loss``, ``G_loss`` and the terms of ``G_loss``."""
        discriminator = self.modules.discriminator
        with self.training_ctx:
            real_scores, real_features = discriminator(target)
            fake_scores, fake_features = discriminator(predicted)
        real_scores = [score.float() for score in real_scores]
        fake_scores = [score.float() for score in fake_scores]
        d_loss = self.discriminator_loss(fake_scores, real_scores)["D_loss"]
        g_losses = self.generator_loss(
            sb.Stage.TRAIN,
            predicted,
            target,
            fake_scores,
            [[f.float() for f in layer] for layer in fake_features],
            [[f.detach().float() for f in layer] for layer in real_features],
        )
        return {"D_loss": d_loss, **g_losses}

    def backward(self, loss, optimizer, retain_graph=False):
        """Accumulate the gradients of a loss for one optimizer only.

        Arguments
        ---------
        loss : torch.Tensor
            Scalar.
        optimizer : str
            ``generator`` or ``discriminator``.
        retain_graph : bool
            Whether to keep the graph for the backward pass of another loss.
        """
        groups = self.optimizers_dict[optimizer].param_groups
        loss = self.scaler.scale(loss / self.grad_accumulation_factor)
        loss.backward(
            inputs=[p for group in groups for p in group["params"]],
            retain_graph=retain_graph,
        )

    def freeze_optimizers(self, optimizers):
        """Skip the discriminator's optimizer in the first ``mel_steps``."""
        if self.adversarial:
            return optimizers
        return {"generator": optimizers["generator"]}

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Write samples after validation; log and save."""
        if stage == sb.Stage.VALID:
            folder = f"samples/{self.optimizer_step:07d}"
            run_on_main(write_clips, [self.output_folder / folder, self.shown])
        super().on_stage_end(stage, stage_loss, epoch)

    def on_evaluate_start(self, **keys):
        """Load the checkpoint to export, and the moving average if used."""
        super().on_evaluate_start(**keys)
        if self.phase == "clean":
            logger.warning(
                "The vocoder was trained on clean features only, for "
                f"{self.optimizer_step} steps; reduce "
                f"--pretrain_steps={self.pretrain_steps}"
            )
        if self.average is not None:
            self.unwrap(self.modules.generator).load_state_dict(
                self.average.module.state_dict()
            )
