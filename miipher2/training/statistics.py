"""Statistics of training steps and of validation clips.

Authors
 * The miipher2 authors 2026
"""

import torch
from speechbrain.utils.metric_stats import MetricStats


class TermMeans:
    """Means of the terms of the training loss since the last validation.

    Example
    -------
    >>> terms = TermMeans()
    >>> terms.add({"l1": torch.tensor(1.0), "l2": torch.tensor(4.0)})
    >>> terms.add({"l1": torch.tensor(2.0)})
    >>> terms.means()
    {'l1': 1.5, 'l2': 4.0}
    """

    def __init__(self):
        self.sums = {}

    def add(self, terms, excluded=()):
        """Add the terms of a batch.

        Arguments
        ---------
        terms : dict
            Scalar tensors by name.
        excluded : collection of str
            Names that are not recorded, such as sums of other terms.
        """
        for name in (n for n in terms if n not in excluded):
            value = terms[name]
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value.detach().float(), count + 1)

    def means(self):
        """Return the mean of each term over the batches that contain it.

        A term that is always 0, such as an unused loss of a vocoder, is
        omitted.
        """
        return {k: total / n for k, (total, n) in self.state().items() if total}

    def state(self):
        """Return the sums and counts for a checkpoint, as plain numbers."""
        return {k: [float(total), n] for k, (total, n) in self.sums.items()}

    def load(self, state):
        """Load the sums and counts returned by ``state``."""
        self.sums = {name: tuple(pair) for name, pair in state.items()}


def per_clip_stats():
    """Return a ``MetricStats`` for values that are already computed.

    Example
    -------
    >>> stats = per_clip_stats()
    >>> stats.append(["noise", "reverb"], torch.tensor([1.0, 3.0]))
    >>> stats.summarize("average"), stats.ids
    (2.0, ['noise', 'reverb'])
    """
    return MetricStats(metric=lambda values: values.to("cpu", torch.float64))
