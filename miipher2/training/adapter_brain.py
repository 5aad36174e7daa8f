"""The Brain of stage 1.

Authors
 * The miipher2 authors 2026
"""

import speechbrain as sb

from miipher2.training.step_brain import RestorationBrain


class AdapterBrain(RestorationBrain):
    """Stage 1: the adapters learn to give clean features for degraded speech.

    The figure to read is ``ratio``: the loss divided by that of doing nothing,
    the frozen features of the degraded speech.

    Arguments
    ---------
    feature_loss : miipher2.training.losses.FeatureLoss
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
