"""What every degradation is: a small class with a seeded draw.

Authors
 * The miipher2 authors 2026
"""

import hashlib
import json

import numpy as np
import torch

from miipher2.errors import UserError


def generator(*keys):
    """A random generator that depends on its keys alone.

    The same keys give the same stream in every process and on every platform,
    so that a resumed run, or one with other workers, draws the same damage.

    Arguments
    ---------
    *keys : int or str
        What the draw depends on, e.g. the run's seed, the epoch and the ID of
        the utterance.

    Returns
    -------
    rng : numpy.random.Generator
        A fresh generator (PCG64).

    Example
    -------
    >>> float(generator(1234, 1, "84-121123-0000").random())
    0.8190180284117354
    """
    digest = hashlib.blake2b(json.dumps(keys).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def uniform(rng, span):
    """Draws a value evenly from ``span``, a pair (lowest, highest)."""
    return float(rng.uniform(*span))


def log_uniform(rng, span):
    """Draws evenly on a logarithmic scale from ``span``, both above zero."""
    return float(np.exp(rng.uniform(*np.log(span))))


def pick(rng, choices):
    """Draws one of ``choices``, each as likely as the others."""
    return choices[int(rng.integers(len(choices)))]


def fit(samples, length):
    """Cuts or pads with zeros at the end, to ``length`` samples."""
    if len(samples) >= length:
        return samples[:length]
    return np.pad(samples, (0, length - len(samples)))


class Degradation:
    """The contract of all degradations.

    A subclass takes physical parameters and implements ``degrade`` on one clip
    as a float32 array ``(time,)``. It draws from the given generator only and
    keeps no state between calls, so that it may be sent to other processes.
    ``adds_sound`` says whether it brings in sound that was not there: noise,
    voices, a room.

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
        """Why this degradation cannot be used here; None if it can.

        Returns
        -------
        reason : str or None
            For instance that no manifest was given.
        """
        return None

    def degrade(self, samples, rng):
        """Damages one clip.

        Arguments
        ---------
        samples : numpy.ndarray
            float32 of shape (time,), at least one sample, all finite.
        rng : numpy.random.Generator
            Where every draw comes from.

        Returns
        -------
        damaged : numpy.ndarray
            A new float32 array of the same length; the input is left alone.
        drawn : dict
            What was drawn, in plain Python values.
        """
        raise NotImplementedError

    def degrade_pair(self, target, samples, rng):
        """Damages one clip, and moves the target where it has to follow.

        Arguments
        ---------
        target : numpy.ndarray
            What a restorer should give back, of shape (time,).
        samples : numpy.ndarray
            The clip, of shape (time,).
        rng : numpy.random.Generator
            Where every draw comes from.

        Returns
        -------
        target : numpy.ndarray
            The target as it was, but for early reflections.
        damaged : numpy.ndarray
            See ``degrade``.
        drawn : dict
            See ``degrade``.
        """
        return (target, *self.degrade(samples, rng))

    def pair(self, clean, rng, target=None):
        """Damages clean audio and returns it with its target.

        Arguments
        ---------
        clean : torch.Tensor
            Samples in [-1, 1] of shape (time,) or (batch, time). The rows of
            a batch are drawn one after the other, each for itself.
        rng : numpy.random.Generator
            Where every draw comes from.
        target : torch.Tensor
            What a restorer should give back, if that is not ``clean`` itself;
            of the same shape.

        Returns
        -------
        target : torch.Tensor
            What a restorer should give back: the target, perhaps with
            early reflections; float32 of the input's shape.
        noisy : torch.Tensor
            The damaged audio, float32 of the input's shape.
        drawn : dict or list of dict
            What was drawn; one dict a row for a batch.

        Raises
        ------
        UserError
            If the audio is empty or holds NaN or infinite samples.
        """
        if target is None:
            target = clean
        if clean.dim() == 2:
            rows = [
                self.pair(row, rng, wanted)
                for row, wanted in zip(clean, target, strict=True)
            ]
            targets, noisy, drawn = zip(*rows, strict=True)
            return torch.stack(targets), torch.stack(noisy), list(drawn)
        wanted, samples = (
            wav.detach().numpy().astype(np.float32, copy=False)
            for wav in (target, clean)
        )
        if samples.size == 0:
            raise UserError("a clip without samples cannot be degraded")
        if not np.isfinite(samples).all():
            raise UserError("a clip with NaN or infinite samples: repair it")
        target, noisy, drawn = self.degrade_pair(wanted, samples, rng)
        return _tensor(target, clean), _tensor(noisy, clean), drawn

    def __call__(self, wav, rng):
        """Damages audio.

        Arguments
        ---------
        wav : torch.Tensor
            Samples in [-1, 1] of shape (time,) or (batch, time).
        rng : numpy.random.Generator
            Where every draw comes from.

        Returns
        -------
        noisy : torch.Tensor
            The damaged audio, float32 of the input's shape.
        drawn : dict or list of dict
            What was drawn; one dict a row for a batch.
        """
        _, noisy, drawn = self.pair(wav, rng)
        return noisy, drawn


def _tensor(samples, like):
    """The samples as a float32 tensor of the length of ``like``."""
    samples = fit(samples, len(like)).astype(np.float32, copy=False)
    return torch.from_numpy(np.ascontiguousarray(samples))
