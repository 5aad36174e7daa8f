"""The base class of all degradations, and functions for random draws.

Authors
 * The miipher2 authors 2026
"""

import hashlib
import json

import numpy as np
import torch

from miipher2.errors import UserError


def generator(*keys):
    """Return a random generator seeded with the keys.

    The same keys give the same random numbers in every process and on every
    platform. A resumed run, or a run with a different number of workers,
    therefore draws the same degradations.

    Arguments
    ---------
    *keys : int or str
        For example the run's seed, the epoch and the utterance ID.

    Returns
    -------
    rng : numpy.random.Generator
        A new generator (PCG64).

    Example
    -------
    >>> float(generator(1234, 1, "84-121123-0000").random())
    0.8190180284117354
    """
    digest = hashlib.blake2b(json.dumps(keys).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def uniform(rng, span):
    """Draw uniformly from ``span``, a pair (lowest, highest)."""
    return float(rng.uniform(*span))


def log_uniform(rng, span):
    """Draw log-uniformly from ``span``, a pair (lowest, highest) above 0."""
    return float(np.exp(rng.uniform(*np.log(span))))


def pick(rng, choices):
    """Draw one of ``choices`` with equal probability."""
    return choices[int(rng.integers(len(choices)))]


def fit(samples, length):
    """Truncate or zero-pad at the end to ``length`` samples."""
    if len(samples) >= length:
        return samples[:length]
    return np.pad(samples, (0, length - len(samples)))


class Degradation:
    """Base class of all degradations.

    A subclass takes physical parameters and implements ``degrade`` for one
    clip, a float32 array ``(time,)``. ``degrade`` draws only from the generator
    passed to it, and its result does not depend on earlier calls. Instances can
    be pickled and sent to other processes. ``adds_sound`` is True if the
    degradation adds noise, voices or reverberation.

    Example
    -------
    >>> class Invert(Degradation):
    ...     def degrade(self, samples, rng):
    ...         return -samples, {"polarity": -1}
    >>> noisy, drawn = Invert()(torch.ones(2, 16000), generator(0))
    >>> noisy.shape, drawn
    (torch.Size([2, 16000]), [{'polarity': -1}, {'polarity': -1}])
    """

    adds_sound = False

    def missing(self):
        """Return the reason why this degradation cannot be used.

        Returns
        -------
        reason : str or None
            For example "no manifest of speech"; None if nothing is missing.
        """
        return None

    def degrade(self, samples, rng):
        """Degrade one clip.

        Arguments
        ---------
        samples : numpy.ndarray
            float32 of shape (time,), with at least one sample, all finite.
        rng : numpy.random.Generator
            Random number generator.

        Returns
        -------
        degraded : numpy.ndarray
            A new float32 array of the same length; the input is not modified.
        drawn : dict
            The parameters drawn, as plain Python values.
        """
        raise NotImplementedError

    def degrade_pair(self, target, samples, rng):
        """Degrade one clip and adapt its target.

        Arguments
        ---------
        target : numpy.ndarray
            The target of restoration, of shape (time,).
        samples : numpy.ndarray
            The clip, of shape (time,).
        rng : numpy.random.Generator
            Random number generator.

        Returns
        -------
        target : numpy.ndarray
            The same target, unless a subclass changes it (``Reverb``).
        degraded : numpy.ndarray
            See ``degrade``.
        drawn : dict
            See ``degrade``.
        """
        return (target, *self.degrade(samples, rng))

    def pair(self, clean, rng, target=None):
        """Degrade clean audio; return the target and the degraded audio.

        Arguments
        ---------
        clean : torch.Tensor
            Samples in [-1, 1] of shape (time,) or (batch, time). The clips of
            a batch are degraded one after the other, each with its own draws.
        rng : numpy.random.Generator
            Random number generator.
        target : torch.Tensor
            The target of restoration, of the same shape; None for ``clean``.

        Returns
        -------
        target : torch.Tensor
            The target, possibly with early reflections; float32 of the
            input's shape.
        noisy : torch.Tensor
            The degraded audio, float32 of the input's shape.
        drawn : dict or list of dict
            The parameters drawn; for a batch, one dict per clip.

        Raises
        ------
        UserError
            If a clip is empty or contains NaN or infinite samples.
        """
        if target is None:
            target = clean
        if clean.dim() == 2:
            rows = [
                self.pair(row, rng, row_target)
                for row, row_target in zip(clean, target, strict=True)
            ]
            targets, noisy, drawn = zip(*rows, strict=True)
            return torch.stack(targets), torch.stack(noisy), list(drawn)
        target_samples, samples = (
            wav.detach().numpy().astype(np.float32, copy=False)
            for wav in (target, clean)
        )
        if samples.size == 0:
            raise UserError("the clip is empty; expected at least one sample")
        if not np.isfinite(samples).all():
            raise UserError(
                "the clip contains NaN or infinite samples; repair or remove it"
            )
        target, noisy, drawn = self.degrade_pair(target_samples, samples, rng)
        return _tensor(target, clean), _tensor(noisy, clean), drawn

    def __call__(self, wav, rng):
        """Degrade audio.

        Arguments
        ---------
        wav : torch.Tensor
            Samples in [-1, 1] of shape (time,) or (batch, time).
        rng : numpy.random.Generator
            Random number generator.

        Returns
        -------
        noisy : torch.Tensor
            The degraded audio, float32 of the input's shape.
        drawn : dict or list of dict
            The parameters drawn; for a batch, one dict per clip.
        """
        _, noisy, drawn = self.pair(wav, rng)
        return noisy, drawn


def _tensor(samples, like):
    """Return the samples as a float32 tensor with the length of ``like``."""
    samples = fit(samples, len(like)).astype(np.float32, copy=False)
    return torch.from_numpy(np.ascontiguousarray(samples))
