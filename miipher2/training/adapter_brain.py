"""The Brain of stage 1, which trains adapters.

Authors
 * The miipher2 authors 2026
"""

from collections import defaultdict
from statistics import mean

import speechbrain as sb

from miipher2.training.shown_clips import ShownClip, valid_part
from miipher2.training.step_brain import StepBrain

# If the loss without adapters is below this value, it consists only of rounding
# errors: the clips were not degraded.
ROUNDING_ERROR = 1e-4


class AdapterBrain(StepBrain):
    """Brain of stage 1, which trains the adapters.

    The adapters map features of degraded speech to features of clean speech.
    The main statistic is ``ratio``, the loss divided by the loss without
    adapters.

    Arguments
    ---------
    feature_loss : miipher2.training.losses.FeatureLoss
        Loss between predicted and target features.
    valid_samples : int
        Number of clips to log at every validation.
    **step_brain : dict
        Arguments of ``StepBrain``. ``modules`` must contain ``cleaner``.
    """

    def __init__(self, *, feature_loss, valid_samples=4, **step_brain):
        super().__init__(**step_brain)
        self.feature_loss = feature_loss
        self.valid_samples = valid_samples

    @property
    def watched_key(self):
        """Key of the main statistic, ``ratio``."""
        return "ratio"

    def compute_forward(self, batch, stage):
        """Return predicted and target features ``(batch, frames, width)``."""
        noisy, lengths = batch.noisy
        clean, _ = batch.clean
        return self.modules.cleaner(
            noisy.to(self.device),
            lengths.to(self.device),
            clean.to(self.device),
        )

    def compute_objectives(self, predictions, batch, stage):
        """Return the loss; in validation and test, record the statistics."""
        predicted, target = predictions
        noisy, lengths = batch.noisy
        lengths = lengths.to(self.device)
        terms = self.feature_loss(predicted, target, lengths)
        if stage != sb.Stage.TRAIN:
            cleaner = self.unwrap(self.modules.cleaner)
            unmapped = cleaner.target(noisy.to(self.device), lengths)
            baseline = self.feature_loss(unmapped, target, lengths)
            self.record({**terms, "baseline": baseline["loss"]}, batch)
            self.show(batch, unmapped, predicted, target)
        return terms["loss"].mean()

    def show(self, batch, unmapped, predicted, target):
        """Store the first clips and their features for the loggers."""
        rate = self.unwrap(self.modules.cleaner).sample_rate
        wavs = {"input": batch.noisy.data, "target": batch.clean.data}
        features = {"input": unmapped, "predicted": predicted, "target": target}
        for index in range(
            min(len(batch), self.valid_samples - len(self.shown))
        ):
            length = float(batch.noisy.lengths[index])
            self.shown[batch.id[index]] = ShownClip(
                valid_part(wavs, index, length),
                rate,
                valid_part(features, index, length),
            )

    def stage_stats(self):
        """Return mean loss terms, and ``ratio`` overall and by degradation."""
        stats = super().stage_stats()
        stats["ratio"] = self.ratio(stats["loss"], stats.pop("baseline"))
        loss, baseline = map(self.means_by_kind, ("loss", "baseline"))
        if len(loss) > 1:
            for kind in loss:
                stats[f"ratio {kind}"] = self.ratio(loss[kind], baseline[kind])
        return stats

    def means_by_kind(self, name):
        """Return the mean of a statistic for each kind of degradation."""
        values = defaultdict(list)
        stats = self.clip_stats[name]
        for kind, value in zip(stats.ids, stats.scores, strict=True):
            values[kind].append(float(value))
        return {kind: mean(clips) for kind, clips in values.items()}

    @staticmethod
    def ratio(loss, baseline):
        """Return ``loss / baseline``, or NaN if no clip was degraded."""
        return loss / baseline if baseline > ROUNDING_ERROR else float("nan")
