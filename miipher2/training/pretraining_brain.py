"""The Brain of stage 0.

Authors
 * The miipher2 authors 2026
"""

import time

import speechbrain as sb
import torch
from torch.nn.utils.rnn import pad_sequence

from miipher2.degrade import generator
from miipher2.models.pretraining import draw_mask
from miipher2.training.step_brain import RestorationBrain

FRONT_END_WARMUP = 50  # steps


class PretrainingBrain(RestorationBrain):
    """Stage 0: a backbone learns to predict the frames of clean speech.

    Everything random about a step comes from its batch and its number, so
    that a resumed run is the same run.

    Arguments
    ---------
    visible_weight : float
        Weight of the frames that are not hidden, of which the model hears a
        degraded version. Those are the easier ones: with them the
        convolutions learn from the first step on, without them they wait for
        the layers above.
    front_end_steps : int
        So many steps the convolutions learn alone, to tell the spectra of
        what they hear, while the rate falls to zero; then they stay as they
        are. 0: they stay as they were given. None: they learn with all the
        rest from beginning to end.
    front_end_lr : float
        The rate that these steps start with.
    **restoration : dict
        Arguments of ``RestorationBrain``; its modules: ``pretraining``.
    """

    def __init__(
        self,
        *,
        visible_weight,
        front_end_steps=None,
        front_end_lr=0.002,
        **restoration,
    ):
        super().__init__(**restoration)
        self.visible_weight = visible_weight
        self.front_end_steps = front_end_steps
        self.front_end_lr = front_end_lr

    @property
    def front_end_alone(self):
        """Whether the convolutions learn alone now."""
        return self.optimizer_step < (self.front_end_steps or 0)

    def on_fit_batch_start(self, batch, should_step):
        """Sets the rate, seeds the dropout, freezes the convolutions."""
        torch.manual_seed(self.optimizer_step)
        frozen = self.front_end_steps is not None and not self.front_end_alone
        self.lower(self.modules.pretraining).freeze_front_end(frozen)
        if not self.front_end_alone:
            super().on_fit_batch_start(batch, should_step)
            return
        self.started = time.monotonic()  # minutes count from their end on
        left = 1 - self.optimizer_step / self.front_end_steps
        warm = min(1.0, (self.optimizer_step + 1) / FRONT_END_WARMUP)
        for optimizer in self.optimizers_dict.values():
            for group in optimizer.param_groups:
                group["lr"] = self.front_end_lr * warm * left

    def compute_forward(self, batch, stage):
        """Predicts the frames.

        Returns
        -------
        tuple
            Outputs, targets, which frames are hidden and which are not, each
            ``(batch, frames, ...)``; while the convolutions learn alone, of
            the degraded speech and then of the clean one.
        """
        (noisy, lengths), (clean, _) = batch.noisy, batch.clean
        masks = self.masks(batch)
        samples = (lengths * noisy.shape[1]).round()
        hop_length = self.lower(self.modules.pretraining).front_end.hop_length
        frames = (samples / hop_length).ceil()
        valid = torch.arange(masks.shape[1]) < frames[:, None]
        visible = valid & ~masks
        if stage == sb.Stage.TRAIN and self.front_end_alone:
            noisy = clean = torch.cat([noisy, clean])
            lengths, masks, visible = (
                torch.cat([x, x]) for x in (lengths, masks, visible)
            )
            hidden = None
        else:
            hidden = masks.to(self.device)
        predicted = self.modules.pretraining(
            noisy.to(self.device),
            clean.to(self.device),
            lengths.to(self.device),
            hidden,
        )
        return *predicted, masks.to(self.device), visible.to(self.device)

    def masks(self, batch):
        """What to hide: it hangs on the clip and its cut, as in ``data``.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            From ``speech_set``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames)``.
        """
        module = self.lower(self.modules.pretraining)
        samples = batch.noisy.lengths * batch.noisy.data.shape[1]
        return pad_sequence(
            [
                draw_mask(
                    module.frames(n),
                    module.config.mask_time_prob,
                    module.config.mask_time_length,
                    generator("mask", name, float(cut)),
                )
                for n, name, cut in zip(
                    samples.round().long().tolist(),
                    batch.id,
                    batch.cut,
                    strict=True,
                )
            ],
            batch_first=True,
        )

    def compute_objectives(self, predictions, batch, stage):
        """Compares as the targets say.

        In validation ``loss`` and what else they say is that of the hidden
        frames, ``visible`` the loss of the others.
        """
        outputs, truth, hidden, visible = predictions
        targets = self.lower(self.modules.pretraining).targets
        values = targets.compare(outputs, truth)
        terms = {name: clip_means(v, hidden) for name, v in values.items()}
        terms["visible"] = clip_means(values["loss"], visible)
        if stage != sb.Stage.TRAIN:
            self.means.add(terms, batch.kind)
        return (terms["loss"] + self.visible_weight * terms["visible"]).mean()


def clip_means(values, mask):
    """Means over some frames of each clip.

    Arguments
    ---------
    values : torch.Tensor
        ``(batch, frames)``.
    mask : torch.Tensor
        Which frames, ``(batch, frames)``.

    Returns
    -------
    torch.Tensor
        ``(batch,)``; 0 for a clip without such frames.

    Example
    -------
    >>> mask = torch.tensor([[True, False, True], [False, False, False]])
    >>> values = torch.arange(6.0).view(2, 3)
    >>> clip_means(values, mask).tolist()
    [1.0, 0.0]
    """
    sums = (values * mask).sum(dim=1)
    return sums / mask.sum(dim=1).clamp(min=1)
