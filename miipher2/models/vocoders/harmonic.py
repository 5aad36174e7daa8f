"""A vocoder that shapes harmonics and noise, for short training on a CPU.

A vocoder that makes harmonics out of nothing, as HiFi-GAN and Vocos do, needs
tens of thousands of adversarial steps until they stop buzzing. Here they are
made by rule: a pulse train of the pitch that the network hears in the
features, and white noise, each shaped by a filter that the network gives for
every frame (a harmonic plus noise model, as in the neural source-filter and
homomorphic vocoders, arXiv 1904.12088 and interspeech 2020-3188). What is
left to learn is smooth, and a spectral loss alone teaches most of it.

It can hear the degraded recording beside the features and keep what is good of
it, see ``miipher2.models.vocoders.spectral_gate``.

Authors
 * The miipher2 authors 2026
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from miipher2.models.pretraining import read_spectra
from miipher2.models.vocoders.base import Vocoder
from miipher2.models.vocoders.convnext import ConvNeXt, FrameSTFT, vocos_weights
from miipher2.models.vocoders.pulse_train import cycles, pulse_train
from miipher2.models.vocoders.spectral_gate import Keeper

NOISE_SAMPLES = 2**17  # after so many the noise comes again
LOUDEST = 8.0  # natural logarithm of a filter's gain


class HarmonicVocoder(Vocoder):
    """ConvNeXt blocks, a pitch, and filters for its harmonics and for noise.

    In training the pitch is given and the network learns to hear it; the
    harmonics then lie where those of the target lie, so that spectra can be
    compared. In eval mode the noise is the same every time.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    sample_rate : int
        Hz of the sound that it gives.
    hop_length : int
        Samples a frame.
    subframes : int
        Filters, and values of the pitch, for each frame.
    n_fft : int
        Samples that a filter covers; even.
    channels : int
        Of the blocks' inputs and outputs.
    intermediate : int
        Channels inside a block.
    layers : int
        Number of blocks.
    kernel_size : int
        Frames that a block looks at, an odd number.
    lowest_pitch, highest_pitch : float
        Hz.
    pitch_bins : int
        In how many steps, equal on a logarithmic scale, pitch is heard.
    keep : bool
        Whether it hears the recording too, and keeps what is good of it.

    Example
    -------
    >>> vocoder = HarmonicVocoder(16, channels=8, intermediate=16, layers=2)
    >>> features, pitch = torch.rand(2, 10, 16), torch.rand(2, 20, 2) + 100
    >>> wav, pitch_error = vocoder(features, pitch=pitch)
    >>> wav.shape, pitch_error.shape
    (torch.Size([2, 3200]), torch.Size([]))
    >>> vocoder.eval()(features)[0].shape
    torch.Size([2, 3200])
    """

    needs_pitch = True

    def __init__(
        self,
        width,
        sample_rate=16000,
        hop_length=320,
        subframes=2,
        n_fft=640,
        channels=384,
        intermediate=1152,
        layers=7,
        kernel_size=7,
        lowest_pitch=55.0,
        highest_pitch=600.0,
        pitch_bins=128,
        keep=False,
    ):
        super().__init__(width, hop_length, sample_rate)
        self.subframes = subframes
        self.trunk = ConvNeXt(
            width, channels, intermediate, layers, kernel_size
        )
        bins = n_fft // 2 + 1
        self.filters = nn.Linear(channels, subframes * 3 * bins)
        self.pitch = nn.Linear(channels, subframes * pitch_bins)
        self.filters.apply(vocos_weights)
        self.pitch.apply(vocos_weights)
        self.direct = nn.Linear(width, subframes * bins)
        nn.init.zeros_(self.direct.weight)
        nn.init.zeros_(self.direct.bias)
        self._set_loudness(0.05)  # about that of speech
        self.stft = FrameSTFT(n_fft, hop_length // subframes)
        self.needs_recording = keep
        if keep:
            self.keeper = Keeper(width, channels, subframes, n_fft)
        log_pitch = torch.linspace(
            math.log(lowest_pitch), math.log(highest_pitch), pitch_bins
        )
        self.register_buffer("log_pitch", log_pitch, persistent=False)
        noise = torch.Generator().manual_seed(0)
        self.register_buffer(
            "noise",
            torch.randn(NOISE_SAMPLES, generator=noise),
            persistent=False,
        )

    def forward(self, features, recording=None, pitch=None):
        """Synthesise waveforms, see ``Vocoder.forward``.

        Without ``pitch`` the estimated one is used and the own loss is zero;
        with it the own loss is the pitch error in nats.
        """
        filters, scores, kept = self.describe(features, recording)
        hz = self.heard(scores) if pitch is None else pitch[..., 0]
        with torch.autocast(features.device.type, enabled=False):
            wav = self.shape(hz.float(), filters, kept)
        if not self.training:
            wav = wav.clamp(-1, 1)
        if pitch is None:
            return wav, wav.new_zeros(())
        return wav, self.pitch_error(scores, pitch)

    def synthesise(
        self, features, recording=None, segments=(), states=None, overlap=0
    ):
        """Synthesise windows, see ``Vocoder.synthesise``.

        The phase of the harmonics and the noise continue from one window of a
        channel to the next. A state is a phase in cycles.
        """
        filters, scores, kept = self.describe(features, recording)
        hz = self.heard(scores)
        phases, offsets, states = self._continue(
            hz, segments, states or {}, overlap
        )
        with torch.autocast(features.device.type, enabled=False):
            wav = self.shape(hz, filters, kept, phases, offsets)
        return wav.clamp(-1, 1), states

    def _continue(self, hz, segments, states, overlap):
        """Return where pulses and noise start in each row, and new states.

        Windows are in phase in the middle of their overlap.
        """
        passed = cycles(hz, self.stft.hop_length, self.sample_rate)
        middle = overlap // 2 * self.hop_length
        steps = [
            0 if after is None else after - start
            for _, start, after in segments
        ]
        points = [[middle, middle + step * self.hop_length] for step in steps]
        points = torch.tensor(points, dtype=torch.long).reshape(-1, 2)
        points = points.clamp(max=passed.shape[1] - 1).to(passed.device)
        points = passed[: len(points)].gather(1, points).tolist()
        phases = torch.zeros(len(hz), dtype=torch.float64)
        offsets = torch.zeros(len(hz), dtype=torch.long)
        states = dict(states)
        for row, ((channel, start, after), (first, last)) in enumerate(
            zip(segments, points, strict=True)
        ):
            if channel in states:
                phases[row] = states.pop(channel) - first
            offsets[row] = start * self.hop_length
            if after is not None:
                states[channel] = (phases[row].item() + last) % 1
        return phases.to(hz.device), offsets.to(hz.device), states

    def describe(self, features, recording=None):
        """What is to be spoken.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.
        recording : torch.Tensor
            As in ``forward``.

        Returns
        -------
        filters : torch.Tensor
            ``(batch, subframes, 3, bins)``, see ``shape``.
        scores : torch.Tensor
            Of each step of the pitch ``(batch, subframes, pitch_bins)``.
        kept : tuple of torch.Tensor
            Spectra of the recording, as far as they are kept, and how much of
            what is made is to be added, both ``(batch, subframes, bins)``;
            None if it keeps nothing.
        """
        hint = 0.0
        if self.needs_recording:
            spectra, heard = self._hear(recording, features)
            hint = self.keeper.hint(heard)
        x = self.trunk(features + hint)
        filters = self.filters(x).unflatten(-1, (self.subframes, 3, -1))
        gains = self.direct(features).unflatten(-1, (self.subframes, 1, -1))
        gains = gains.expand_as(filters[..., :2, :])
        filters = filters + F.pad(gains, (0, 0, 0, 1))  # not the phase
        filters = filters.flatten(1, 2).float()
        scores = self.pitch(x).unflatten(-1, (self.subframes, -1))
        scores = scores.flatten(1, 2).float()
        if not self.needs_recording:
            return filters, scores, None
        both = 2 * filters[:, :, :2].clamp(max=LOUDEST)
        expected = torch.logaddexp(*both.unbind(dim=2)) / 2
        kept, made = self.keeper(x, heard, expected)
        if recording is None:  # but every weight takes part, as DDP wants it
            kept, made = 0 * kept, 1 + 0 * made
        return filters, scores, (kept * spectra, made)

    def _hear(self, recording, features):
        """Spectra of the recording or of silence, and how loud they are."""
        if recording is None:
            recording = features.new_zeros(len(features), 0)
        with torch.autocast(features.device.type, enabled=False):
            missing = features.shape[1] * self.hop_length - recording.shape[1]
            recording = F.pad(recording.float(), (0, missing))
            spectra = self.stft.analyse(recording)
            return spectra, self.keeper.hear(spectra)

    def shape(
        self, hz, filters, kept=None, cycles_before=None, samples_before=None
    ):
        """Filters a pulse train and noise, and puts in what is kept.

        Arguments
        ---------
        hz : torch.Tensor
            Pitch ``(batch, subframes)``.
        filters : torch.Tensor
            ``(batch, subframes, 3, bins)``: logarithms of the gains for the
            pulses and for the noise, phase for the pulses.
        kept : tuple of torch.Tensor
            From ``describe``.
        cycles_before : torch.Tensor
            Where in a cycle the pulses start ``(batch,)``; None: at 0.
        samples_before : torch.Tensor
            Where in the noise to start ``(batch,)``; None: at 0.

        Returns
        -------
        torch.Tensor
            ``(batch, time)``.
        """
        pulses = pulse_train(
            hz, self.stft.hop_length, self.sample_rate, cycles_before
        )
        noise = self._noise(pulses, samples_before)
        gains = filters[:, :, :2].clamp(max=LOUDEST).exp()
        voiced = torch.polar(gains[:, :, 0], filters[:, :, 2])
        spectra = self.stft.analyse(pulses) * voiced
        spectra = spectra + self.stft.analyse(noise) * gains[:, :, 1]
        if kept is not None:
            recording, made = kept
            spectra = recording + made * spectra
        return self.stft.synthesise(spectra)

    def heard(self, scores):
        """The pitch in Hz: the mean around the likeliest step.

        Arguments
        ---------
        scores : torch.Tensor
            ``(batch, subframes, pitch_bins)``.

        Returns
        -------
        torch.Tensor
            ``(batch, subframes)``.
        """
        best = scores.argmax(dim=-1, keepdim=True)
        steps = torch.arange(scores.shape[-1], device=scores.device)
        near = (steps - best).abs() <= 4
        weights = scores.masked_fill(~near, -torch.inf).softmax(dim=-1)
        return (weights * self.log_pitch).sum(dim=-1).exp()

    def pitch_error(self, scores, pitch):
        """Cross-entropy with the true pitch, blurred, where it is voiced.

        Arguments
        ---------
        scores : torch.Tensor
            ``(batch, subframes, pitch_bins)``.
        pitch : torch.Tensor
            As in ``forward``.

        Returns
        -------
        torch.Tensor
            Scalar, nats.
        """
        hz, voiced = pitch.float().unbind(dim=-1)
        step = self.log_pitch[1] - self.log_pitch[0]
        distance = (hz.log()[..., None] - self.log_pitch) / step
        target = (-distance.square() / 2).softmax(dim=-1)
        error = -(target * scores.log_softmax(dim=-1)).sum(dim=-1)
        return (error * voiced).sum() / voiced.sum().clamp(min=1.0)

    @torch.no_grad()
    def warm_start(self, source):
        """Start from the head of a backbone trained in stage 0.

        The linear map from features to gains then starts as the spectra that
        the head predicts, instead of zero.

        Arguments
        ---------
        source : str or Path
            Folder of a backbone that was trained with ``SpectralTargets``.
        """
        spectra = read_spectra(source)
        bins = self.direct.out_features // self.subframes
        hz = torch.linspace(0, self.sample_rate / 2, bins)
        none = spectra(torch.zeros(self.width), hz).flatten()
        each = spectra(torch.eye(self.width), hz).flatten(1)
        self.direct.weight.copy_((each - none).mT)
        self.direct.bias.copy_(none)
        self.filters.weight.mul_(0.1)
        self._set_loudness(math.sqrt(0.5))  # half of the power each

    @torch.no_grad()
    def _set_loudness(self, gain):
        """Set the gain of pulses and noise to start with."""
        bias = self.filters.bias.unflatten(0, (self.subframes, 3, -1))
        bias.zero_()
        bias[:, :2] = math.log(gain)

    def _noise(self, like, samples_before):
        if self.training:
            return torch.randn_like(like)
        index = torch.arange(like.shape[1], device=like.device)
        if samples_before is not None:
            index = index + samples_before[:, None]
        return self.noise[index % NOISE_SAMPLES].expand_as(like)
