"""The Brain of stage 0.

Authors
 * The miipher2 authors 2026
"""

import speechbrain as sb
import torch
from torch.nn.utils.rnn import pad_sequence

from miipher2.brains.restoration import RestorationBrain
from miipher2.degrade import generator
from miipher2.pretraining.model import draw_mask


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
    **restoration : dict
        Arguments of ``RestorationBrain``; its modules: ``pretraining``.
    """

    def __init__(self, *, visible_weight, front_end_steps=0, **restoration):
        super().__init__(**restoration)
        self.front_end_steps = front_end_steps
        self.visible_weight = visible_weight

    def on_fit_batch_start(self, batch, should_step):
        """Seeds the dropout of the step to come."""
        super().on_fit_batch_start(batch, should_step)
        torch.manual_seed(self.optimizer_step)

    def compute_forward(self, batch, stage):
        """Gives outputs, targets and the masks."""
        noisy, lengths = batch.noisy
        clean, _ = batch.clean
        masks = self.masks(batch).to(self.device)
        early = self.optimizer_step < self.front_end_steps
        if stage == sb.Stage.TRAIN and early:
            predicted = self.lower(self.modules.pretraining).front_end_alone(
                clean.to(self.device), lengths.to(self.device)
            )
            return *predicted, masks
        predicted = self.modules.pretraining(
            noisy.to(self.device),
            clean.to(self.device),
            lengths.to(self.device),
            masks,
        )
        return *predicted, masks

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
        outputs, truth, masks = predictions
        module = self.lower(self.modules.pretraining)
        values = module.targets.compare(outputs, truth)
        samples = batch.noisy.lengths * batch.noisy.data.shape[1]
        frames = (samples.round() / module.front_end.hop_length).ceil()
        inside = torch.arange(masks.shape[1]) < frames[:, None]
        visible = inside.to(masks.device) & ~masks
        terms = {name: clip_means(v, masks) for name, v in values.items()}
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
