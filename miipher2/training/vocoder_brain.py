"""The Brain of stage 2.

Authors
 * The miipher2 authors 2026
"""

import speechbrain as sb
import torch
from speechbrain.dataio import audio_io
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.logger import get_logger
from torch.nn.functional import pad
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from miipher2.training.step_brain import RestorationBrain

logger = get_logger(__name__)


class VocoderBrain(RestorationBrain):
    """Stage 2: a vocoder learns to speak features.

    First those of clean speech, then, from ``pretrain_steps`` on, those that
    the cleaner predicts from degraded speech, its adapters frozen (Miipher-2,
    section 3) or, with ``train_adapters``, learning with the vocoder what
    serves it. For the first ``mel_steps`` only the spectral loss is used, which
    is several times cheaper than the adversarial one.

    A vocoder that has to be taught pitch (``HarmonicVocoder``) gets that of
    the clean speech, if the dataset gives it, and adds a loss of its own. One
    that ``needs_recording`` gets the degraded speech with restored features.

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
    train_adapters : bool
        Whether the cleaner's adapters learn too, on restored features.
    average_decay : float
        If above 0, an exponential moving average of the generator's weights
        is what is validated and exported; 0.999 looks back 1,000 steps.
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
        train_adapters=False,
        average_decay=0.0,
        valid_samples=4,
        **restoration,
    ):
        if not train_adapters:  # before they are counted
            restoration["modules"]["cleaner"].requires_grad_(False)
        super().__init__(**restoration)
        self.spectral_loss = spectral_loss
        self.generator_loss = generator_loss
        self.discriminator_loss = discriminator_loss
        self.vocoder_frames = vocoder_frames
        self.pretrain_steps = pretrain_steps
        self.mel_steps = mel_steps
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

    @property
    def takes_last(self):
        """True with the adversary: what it teaches raises the mel error."""
        return self.adversarial

    def init_optimizers(self):
        """One optimizer for what speaks, one for the discriminator."""
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

    def freeze_optimizers(self, optimizers):
        """Leaves the discriminator out until it takes part."""
        if self.adversarial:
            return optimizers
        return {"generator": optimizers["generator"]}

    def features(self, batch):
        """Features ``(batch, frames, width)`` of the phase that it is."""
        if self.phase == "clean":
            wavs, lengths = batch.clean
            extract = self.lower(self.modules.cleaner).target
        else:
            wavs, lengths = batch.noisy
            extract = self.modules.cleaner
        return extract(wavs.to(self.device), lengths.to(self.device))

    def compute_forward(self, batch, stage):
        """Speaks: segments in training, whole clips in validation.

        Returns
        -------
        tuple
            Made and true sound, each ``(batch, 1, time)``, and the loss of
            the vocoder's own.
        """
        given = {"features": self.features(batch)}
        target = batch.target.data.to(self.device)
        generator = self.lower(self.modules.generator)
        if generator.needs_recording and self.phase == "restored":
            given["recording"] = batch.noisy.data.to(self.device)
        if stage == sb.Stage.TRAIN:
            if generator.needs_pitch:
                given["pitch"] = batch.pitch.data.to(self.device)
            given, target = self.segments(batch, given, target)
            made, own_loss = self.modules.generator(**given)
        else:
            made, own_loss = self.speaker(**given)
        made = made.float()
        missing = made.shape[1] - target.shape[1]  # cut if negative
        target = pad(target, (0, missing))
        return made[:, None], target[:, None], own_loss

    @property
    def speaker(self):
        """The generator that is validated and exported."""
        if self.average is not None:
            return self.average.module
        return self.lower(self.modules.generator)

    def segments(self, batch, given, target):
        """Cuts what the generator is given and the sound at the same place.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            Has ``cut``, where.
        given : dict
            ``features``, ``pitch`` and ``recording`` of whole clips.
        target : torch.Tensor
            True sound ``(batch, time)``.

        Returns
        -------
        given : dict
            As it came, of segments.
        target : torch.Tensor
            Of the same segments.
        """
        generator = self.lower(self.modules.generator)
        hop = generator.hop_length
        units = {"features": 1, "recording": hop, "target": hop}
        if "pitch" in given:
            units["pitch"] = generator.subframes
        size = self.vocoder_frames
        lengths = batch.target.lengths * target.shape[1] / hop
        starts = [
            int(float(cut) * (max(0, int(frames) - size) + 1))
            for cut, frames in zip(batch.cut, lengths.tolist(), strict=True)
        ]
        whole = {**given, "target": target}
        segments = {
            name: torch.stack(
                [
                    self.cut(clip, start * units[name], size * units[name])
                    for clip, start in zip(clips, starts, strict=True)
                ]
            )
            for name, clips in whole.items()
        }
        target = segments.pop("target")
        return segments, target

    @staticmethod
    def cut(clip, start, size):
        """A part of ``(time, ...)``, with zeros where the clip has ended."""
        part = clip[start : start + size]
        short = size - len(part)
        return pad(part, (0, 0) * (part.dim() - 1) + (0, short))

    def fit_batch(self, batch):
        """One step of both networks, on the same sound.

        What the discriminator says of the true and of the made sound serves
        both losses, so it says it once.
        """
        should_step = (self.step % self.grad_accumulation_factor) == 0
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                made, target, own_loss = self.compute_forward(
                    batch, sb.Stage.TRAIN
                )
            if self.adversarial:
                losses = self.adversarial_losses(made, target)
            else:
                losses = self.generator_loss(sb.Stage.TRAIN, made, target)
            loss = losses["G_loss"] + own_loss
            self.check_loss_isfinite(loss)
            if "D_loss" in losses:  # both go back through the discriminator
                self.teach("discriminator", losses["D_loss"], again=True)
            self.teach("generator", loss)
        if should_step:
            self.optimizers_step()
            if self.average is not None:
                self.average.update_parameters(
                    self.lower(self.modules.generator)
                )
        return loss.detach().cpu()

    def adversarial_losses(self, made, target):
        """Losses of the discriminator and of the generator."""
        discriminator = self.modules.discriminator
        with self.training_ctx:
            scores, features = discriminator(target)
            scores_made, features_made = discriminator(made)
        scores = [score.float() for score in scores]
        scores_made = [score.float() for score in scores_made]
        d_loss = self.discriminator_loss(scores_made, scores)["D_loss"]
        g_loss = self.generator_loss(
            sb.Stage.TRAIN,
            made,
            target,
            scores_made,
            [[f.float() for f in layer] for layer in features_made],
            [[f.detach().float() for f in layer] for layer in features],
        )["G_loss"]
        return {"D_loss": d_loss, "G_loss": g_loss}

    def teach(self, learner, loss, again=False):
        """Sends a loss back to those who learn from it, and to nobody else.

        Arguments
        ---------
        learner : str
            Whose optimizer has the parameters.
        loss : torch.Tensor
            Scalar.
        again : bool
            Whether another loss goes back the same way.
        """
        groups = self.optimizers_dict[learner].param_groups
        loss = self.scaler.scale(loss / self.grad_accumulation_factor)
        loss.backward(
            inputs=[p for group in groups for p in group["params"]],
            retain_graph=again,
        )

    def compute_objectives(self, predictions, batch, stage):
        """Mel error of every clip; keeps some clips to listen to."""
        made, target, _ = predictions
        lengths = (batch.target.lengths * batch.target.data.shape[1]).long()
        errors = []
        for index, length in enumerate(lengths.tolist()):
            # the spectral loss needs a window of samples
            pair = [
                pad(wav[index, :, :length], (0, max(0, 1024 - length)))
                for wav in (made, target)
            ]
            errors.append(self.spectral_loss(*pair))
            if len(self.samples) < self.valid_samples:
                self.samples[batch.id[index]] = [wav.cpu() for wav in pair]
        errors = torch.stack(errors)
        self.means.add({self.best_key: errors}, batch.kind)
        return errors.mean()

    def on_evaluate_start(self, **keys):
        """Takes the best checkpoint; its average becomes the generator."""
        super().on_evaluate_start(**keys)
        if self.phase == "clean":
            logger.warning(
                "The vocoder has heard no restored features in "
                f"{self.optimizer_step} steps; give less than "
                f"--pretrain_steps={self.pretrain_steps}"
            )
        if self.average is not None:
            self.lower(self.modules.generator).load_state_dict(
                self.average.module.state_dict()
            )

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
