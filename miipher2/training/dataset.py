"""Datasets of clean, degraded and target speech.

All random choices for a clip, such as its crop and degradation, are seeded with
the run's seed, the epoch and the clip's ID. The audio therefore does not depend
on the number of workers or on interruptions of the run.

Authors
 * The miipher2 authors 2026
"""

import math

import numpy as np
import torch
from speechbrain.utils.data_pipeline import provides, takes

from miipher2.dataio.audio import read_audio, resample
from miipher2.dataio.headers import PAIR_TOLERANCE
from miipher2.dataio.manifests import read_manifest
from miipher2.dataio.speech_level import SpeechLevel
from miipher2.degrade import generator
from miipher2.errors import UserError
from miipher2.training.epoch_dataset import EpochDataset, UnusableClip

SSL_RATE = 16000  # Hz, sample rate of all backbones
MIN_SECONDS = 0.02  # one frame of a backbone


def speech_dataset(
    csv,
    data_root,
    degrade,
    segment_seconds,
    sample_rate,
    seed,
    kinds=("all",),
    max_clips=None,
    pitch=None,
    input_level=None,
    narrow_share=0.0,
    no_speech=None,
    skip_bad_clips=False,
):
    """Create a dataset from a manifest.

    Arguments
    ---------
    csv : str
        Manifest with the columns ``ID``, ``duration`` and ``wav``. Optional
        columns are ``noisy_wav`` (a degraded recording of the same speech),
        ``target_wav`` (a denoised version of ``wav``) and ``bandwidth`` in Hz.
    data_root : str
        Folder that replaces ``$data_root`` in the manifest.
    degrade : miipher2.degrade.Chain
        Degradations for clips without ``noisy_wav``. The sample rate of the
        chain is 16 kHz or ``sample_rate``.
    segment_seconds : float
        Length of the random crops in seconds; shorter clips are not cropped.
    sample_rate : int
        Sample rate of ``target`` in Hz. ``clean`` and ``noisy`` are at 16 kHz.
    seed : int
        The run's seed.
    kinds : list of str
        Kinds of degradation: names of single degradations in the chain, or
        ``all`` for the complete chain. The dataset contains every clip once for
        each kind. A kind is skipped if the chain has left it out, for example
        because it needs a manifest that was not given. With ``noisy_wav``, the
        only kind is ``all``.
    max_clips : int
        Maximum number of clips taken from the manifest, at equal intervals. The
        limit applies before the clips are repeated for each kind. None for all
        clips.
    pitch : miipher2.dataio.pitch.PitchTracks
        If given, items also contain the ``pitch`` of the clean speech.
    input_level : dict
        Arguments of ``SpeechLevel.gain`` for the speech and the degraded input.
        None for the default values.
    narrow_share : float
        Fraction of clips whose ``recording`` has no content above 8 kHz. If the
        chain runs at 16 kHz, this applies to all clips instead.
    no_speech : miipher2.degrade.NoSpeech
        If given, a fraction of the clips is replaced with noise, and the target
        of these clips is silence.
    skip_bad_clips : bool
        Whether to use the next clip in place of an unusable clip.

    Returns
    -------
    EpochDataset
        Dataset of items with ``id``, ``kind``, ``clean``, ``noisy``,
        ``target``, ``bandwidth`` in Hz, and ``cut``, a random number in [0, 1)
        for cropping features. If ``sample_rate`` is not 16 kHz, items also have
        ``recording``, the degraded speech at ``sample_rate``.
    """
    rows = read_manifest(csv, data_root)
    chains = _chains_by_kind(degrade, kinds, "noisy_wav" in rows[0])
    if max_clips is not None:
        rows = rows[:: -(-len(rows) // max(1, max_clips))]
    optional = {
        "noisy_wav": None,
        "target_wav": None,
        "bandwidth": sample_rate / 2,
        "epoch": 0,
    }
    data = {
        f"{kind}/{row['ID']}": {**optional, **row, "kind": kind}
        for kind in chains
        for row in rows
    }
    clips = SpeechClips(
        chains,
        segment_seconds,
        sample_rate,
        seed,
        pitch,
        input_level,
        narrow_share,
        no_speech,
    )
    dataset = EpochDataset(data, [clips.pipeline()], csv, skip_bad_clips)
    keys = ["id", "kind", "clean", "noisy", "target", "cut", "bandwidth"]
    keys += ["recording"] * (sample_rate != SSL_RATE)
    dataset.set_output_keys(keys + ["pitch"] * (pitch is not None))
    return dataset


def _chains_by_kind(degrade, kinds, paired):
    """Return the chain for each kind of degradation.

    For recorded pairs, the only kind is ``all``, because their degradation is
    fixed.
    """
    unknown = set(kinds) - {"all", *degrade.names, *degrade.left_out}
    if unknown:
        raise UserError(
            f"valid_kinds: {', '.join(sorted(unknown))}: not in the "
            f"degradation chain; expected all, {', '.join(degrade.names)}"
        )
    if paired:
        return {"all": degrade}
    chains = {
        kind: degrade if kind == "all" else degrade.only(kind)
        for kind in kinds
        if kind in ("all", *degrade.names)
    }
    if not chains:
        raise UserError(
            f"valid_kinds: {', '.join(kinds)}: not available without the "
            "manifests of these degradations; add 'all'"
        )
    return chains


class SpeechClips:
    """Pipeline that loads, crops, normalises and degrades the clips.

    Arguments
    ---------
    chains : dict
        Maps each kind of degradation to a ``miipher2.degrade.Chain``.
    segment_seconds : float
        Length of the crops in seconds.
    sample_rate : int
        Sample rate of ``target`` in Hz.
    seed : int
        The run's seed.
    pitch : miipher2.dataio.pitch.PitchTracks
        If given, the pitch of the clean speech is loaded.
    input_level : dict
        Arguments of ``SpeechLevel.gain``. None for the default values.
    narrow_share : float
        See ``speech_dataset``.
    no_speech : miipher2.degrade.NoSpeech
        See ``speech_dataset``.

    Raises
    ------
    UserError
        If the sample rate of the chains is neither 16 kHz nor ``sample_rate``.
    """

    def __init__(
        self,
        chains,
        segment_seconds,
        sample_rate,
        seed,
        pitch=None,
        input_level=None,
        narrow_share=0.0,
        no_speech=None,
    ):
        self.chain_rate = next(iter(chains.values())).sample_rate
        if self.chain_rate not in (SSL_RATE, sample_rate):
            raise UserError(
                f"degrade: sample_rate {self.chain_rate} Hz; expected "
                f"{SSL_RATE} Hz (backbone) or {sample_rate} Hz (vocoder)"
            )
        self.chains = chains
        self.segment_seconds = segment_seconds
        self.sample_rate = sample_rate
        self.seed = seed
        self.pitch = pitch
        self.input_level = input_level or {}
        self.narrow_share = narrow_share
        self.no_speech = no_speech

    def pipeline(self):
        """Return ``load`` as a SpeechBrain dynamic item."""
        columns = ("wav", "noisy_wav", "target_wav", "duration")
        outputs = ("clean", "noisy", "target", "cut", "recording", "pitch")
        load = provides(*outputs)(self.load)
        return takes("ID", "kind", "epoch", *columns)(load)

    def load(self, name, kind, epoch, wav, noisy_wav, target_wav, duration):
        """Yield the outputs named in ``pipeline``; ``pitch`` only if used."""
        rng = generator(self.seed, epoch, name)
        latest = max(0.0, duration - self.segment_seconds)
        crop = {
            "start": rng.random() * latest,
            "seconds": self.segment_seconds,
        }
        cut = rng.random()
        source = self.read(wav, self.sample_rate, **crop)
        level = SpeechLevel.of(source, self.sample_rate)
        gain = level.gain(**self.input_level)
        target = source = source * gain
        if target_wav is not None:
            target = self.read(target_wav, self.sample_rate, **crop) * gain
            target = match_length(
                target, source, self.sample_rate, target_wav, wav
            )
        if self.no_speech and rng.random() < self.no_speech.share:
            clean, noisy, target = self.replace(source, rng)
        elif noisy_wav is None:
            chain = self.chains[kind]
            clean, noisy, target = self.degrade(chain, source, target, rng)
        else:
            clean = change_rate(target, self.sample_rate, self.chain_rate)
            noisy = self.read(noisy_wav, self.chain_rate, **crop) * gain
            noisy = match_length(noisy, clean, self.chain_rate, noisy_wav, wav)
        # as in restoration, normalise the speech level of the input
        level = SpeechLevel.of(noisy, self.chain_rate)
        noisy = noisy * level.gain(**self.input_level)
        narrow = change_rate(noisy, self.chain_rate, SSL_RATE)
        yield change_rate(clean, self.chain_rate, SSL_RATE)
        yield narrow
        yield target
        yield cut
        if self.chain_rate != self.sample_rate or (
            rng.random() < self.narrow_share
        ):
            noisy = change_rate(narrow, SSL_RATE, self.sample_rate)
        yield fit_length(noisy, len(target))
        if self.pitch is not None:
            yield self.load_pitch(wav, crop["start"], target)

    def load_pitch(self, wav, start, target):
        """Return the pitch of a crop, unvoiced if the target is silence."""
        seconds = len(target) / self.sample_rate
        frames = math.ceil(seconds / self.pitch.frame_seconds)
        pitch = self.pitch(wav, start, frames)
        if not target.any():
            pitch[:, 1] = 0.0
        return pitch

    def replace(self, source, rng):
        """Replace a clip with noise and its target with silence.

        Arguments
        ---------
        source : torch.Tensor
            The recording ``(time,)`` at ``sample_rate``.
        rng : numpy.random.Generator
            Random number generator.

        Returns
        -------
        clean, noisy, target : torch.Tensor
            See ``degrade``.
        """
        observed = change_rate(source, self.sample_rate, self.chain_rate)
        noisy, _ = self.no_speech(observed, rng)
        return torch.zeros_like(observed), noisy, torch.zeros_like(source)

    @staticmethod
    def read(path, sample_rate, start, seconds):
        """Read a crop; see ``miipher2.dataio.audio.read_audio``.

        Raises
        ------
        UnusableClip
            If the file cannot be read, or the crop has no audio or contains
            NaN or Inf.
        """
        try:
            wav = read_audio(path, sample_rate, start, seconds)
        except UserError as error:
            raise UnusableClip(str(error)) from None
        if len(wav) < MIN_SECONDS * sample_rate:
            raise UnusableClip(
                f"{path}: no audio at {start:.2f} s; the file is shorter "
                "than its duration in the manifest"
            )
        return wav

    def degrade(self, chain, source, target, rng):
        """Degrade a clip.

        Arguments
        ---------
        chain : miipher2.degrade.Chain
            The degradations.
        source : torch.Tensor
            The recording ``(time,)`` at ``sample_rate``.
        target : torch.Tensor
            The recording, or its denoised version.
        rng : numpy.random.Generator
            Random number generator.

        Returns
        -------
        clean, noisy : torch.Tensor
            Waveforms ``(time,)`` at the chain's sample rate.
        target : torch.Tensor
            Waveform ``(time,)`` at ``sample_rate``.
        """
        rates = self.sample_rate, self.chain_rate
        observed = clean = change_rate(source, *rates)
        denoised = target is not source
        if denoised:
            clean = change_rate(target, *rates)
        clean, noisy, drawn = chain.pair(observed, rng, target=clean)
        # Use the denoised target only if noise or reverberation was added.
        # Other degradations do not mask the background noise of the recording.
        if denoised and not chain.added_sound(drawn):
            clean, target = observed, source
        if self.sample_rate == self.chain_rate:
            target = clean
        return clean, noisy, target


def change_rate(wav, sample_rate, new_rate):
    """Resample a waveform ``(time,)``."""
    return torch.from_numpy(resample(wav.numpy(), sample_rate, new_rate))


def fit_length(wav, time):
    """Trim a waveform ``(time,)``, or extend it by reflection.

    As in restoration, zeros are not used, because they would lower the level at
    the end.

    Example
    -------
    >>> fit_length(torch.tensor([1.0, 2.0, 3.0]), 5)
    tensor([1., 2., 3., 3., 2.])
    """
    missing = max(0, time - len(wav))
    return torch.from_numpy(np.pad(wav, (0, missing), "symmetric")[:time])


def match_length(wav, reference, sample_rate, path, reference_path):
    """Trim or extend a waveform ``(time,)`` to the length of a reference.

    Raises
    ------
    UnusableClip
        If the lengths differ by more than 50 ms.
    """
    missing = len(reference) - len(wav)
    if abs(missing) > PAIR_TOLERANCE * sample_rate:
        raise UnusableClip(
            f"{path}: expected the length of {reference_path}; this file is "
            f"{abs(missing) / sample_rate:.3f} s "
            f"{'shorter' if missing > 0 else 'longer'}"
        )
    return fit_length(wav, len(reference))
