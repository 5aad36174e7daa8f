"""The Brain of stage 0, which pretrains a backbone.

Authors
 * The miipher2 authors 2026
"""

import speechbrain as sb
import torch
from torch.nn.utils.rnn import pad_sequence

from miipher2.degrade import generator
from miipher2.models.pretraining import draw_mask
from miipher2.training.step_brain import StepBrain

FRONT_END_WARMUP = 50  # steps


class PretrainingBrain(StepBrain):
    """Brain of stage 0, which pretrains a backbone.

    The backbone is trained to predict frames of clean speech from degraded and
    partly masked speech. Masks are seeded with the clip's ID and the random
    number ``cut`` of the dataset item, and dropout is seeded with the optimizer
    step. A resumed run therefore gives the same result as an uninterrupted run.

    Arguments
    ---------
    visible_weight : float
        Weight of the loss on visible frames, which are not masked. Visible
        frames are easier to predict, so this loss trains the convolutions from
        the first step, unless the convolutions are frozen.
    front_end_steps : int
        Number of initial steps without the transformer layers, in which the
        input is not masked and the targets are computed from the input. In
        later steps, the convolutions and the feature projection are frozen. 0
        to freeze them in all steps. None to train all layers in all steps.
    front_end_lr : float
        Learning rate of the first ``front_end_steps``, to which a warm-up over
        50 steps and a linear decay to zero are applied.
    **step_brain : dict
        Arguments of ``StepBrain``. ``modules`` must contain ``pretraining``.
    """

    def __init__(
        self,
        *,
        visible_weight,
        front_end_steps=None,
        front_end_lr=0.002,
        **step_brain,
    ):
        super().__init__(**step_brain)
        self.visible_weight = visible_weight
        self.front_end_steps = front_end_steps
        self.front_end_lr = front_end_lr

    @property
    def front_end_alone(self):
        """Whether the current step is one of the first ``front_end_steps``."""
        return self.optimizer_step < (self.front_end_steps or 0)

    def on_fit_batch_start(self, batch, should_step):
        """Seed dropout; set the learning rate; freeze or unfreeze layers."""
        self.batch_ids = batch.id
        frozen = self.front_end_steps is not None and not self.front_end_alone
        self.unwrap(self.modules.pretraining).freeze_front_end(frozen)
        if not self.front_end_alone:
            super().on_fit_batch_start(batch, should_step)
            return
        torch.manual_seed(self.optimizer_step)
        self.length.start()  # the time limit excludes these steps
        remaining = 1 - self.optimizer_step / self.front_end_steps
        warmup = min(1.0, (self.optimizer_step + 1) / FRONT_END_WARMUP)
        for optimizer in self.optimizers_dict.values():
            for group in optimizer.param_groups:
                group["lr"] = self.front_end_lr * warmup * remaining

    def compute_forward(self, batch, stage):
        """Predict the frames of clean speech.

        Returns
        -------
        tuple of torch.Tensor
            Outputs, targets, a mask of the masked frames and a mask of the
            visible frames, each ``(batch, frames, ...)``. In the first
            ``front_end_steps`` training steps, the batch consists of the
            degraded clips followed by the clean clips.
        """
        (noisy, lengths), (clean, _) = batch.noisy, batch.clean
        masks = self.masks(batch)
        samples = (lengths * noisy.shape[1]).round()
        hop_length = self.unwrap(self.modules.pretraining).front_end.hop_length
        frames = (samples / hop_length).ceil()
        valid = torch.arange(masks.shape[1]) < frames[:, None]
        visible = valid & ~masks
        if stage == sb.Stage.TRAIN and self.front_end_alone:
            noisy = clean = torch.cat([noisy, clean])
            lengths, masks, visible = (
                torch.cat([x, x]) for x in (lengths, masks, visible)
            )
            model_masks = None
        else:
            model_masks = masks.to(self.device)
        predicted = self.modules.pretraining(
            noisy.to(self.device),
            clean.to(self.device),
            lengths.to(self.device),
            model_masks,
        )
        return *predicted, masks.to(self.device), visible.to(self.device)

    def masks(self, batch):
        """Draw the masks of a batch.

        Masks are seeded with the clip's ID and ``cut``.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            A batch of ``speech_dataset``.

        Returns
        -------
        torch.Tensor
            ``(batch, frames)`` bool, True for masked frames.
        """
        module = self.unwrap(self.modules.pretraining)
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
        """Return the loss.

        In validation and test, the ``loss`` statistic is the loss on masked
        frames, and ``visible`` is the loss on visible frames.
        """
        outputs, target, masked, visible = predictions
        targets = self.unwrap(self.modules.pretraining).targets
        values = targets.compare(outputs, target)
        terms = {name: clip_means(v, masked) for name, v in values.items()}
        terms["visible"] = clip_means(values["loss"], visible)
        if stage != sb.Stage.TRAIN:
            self.record(terms, batch)
        return (terms["loss"] + self.visible_weight * terms["visible"]).mean()


def clip_means(values, mask):
    """Average the selected frames of each clip.

    Arguments
    ---------
    values : torch.Tensor
        ``(batch, frames)``.
    mask : torch.Tensor
        ``(batch, frames)``, True for the selected frames.

    Returns
    -------
    torch.Tensor
        Means ``(batch,)``; 0 for a clip without selected frames.

    Example
    -------
    >>> mask = torch.tensor([[True, False, True], [False, False, False]])
    >>> values = torch.arange(6.0).view(2, 3)
    >>> clip_means(values, mask).tolist()
    [1.0, 0.0]
    """
    sums = (values * mask).sum(dim=1)
    return sums / mask.sum(dim=1).clamp(min=1)
