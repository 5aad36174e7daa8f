"""A vocoder that filters a pulse train and noise, for training on a CPU.

HiFi-GAN and Vocos have to learn to synthesise harmonics, so their output buzzes
for tens of thousands of adversarial training steps. This vocoder filters white
noise and a pulse train at the predicted pitch; the filters are predicted, too.
It is a harmonic plus noise model, like neural source-filter models (arXiv
1904.12088) and the neural homomorphic vocoder (doi
10.21437/Interspeech.2020-3188). It needs few or no adversarial steps.

Authors
 * The miipher2 authors 2026
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from miipher2.models.pretraining import read_spectra
from miipher2.models.vocoders.base import Vocoder
from miipher2.models.vocoders.convnext import ConvNeXt, init_as_vocos
from miipher2.models.vocoders.feature_norm import FeatureNorm
from miipher2.models.vocoders.pulse_train import cycles, pulse_train
from miipher2.models.vocoders.spectral_gate import SpectralGate
from miipher2.models.vocoders.stft import FrameSTFT


class HarmonicVocoder(Vocoder):
    """A vocoder whose ConvNeXt blocks predict the pitch and the filters.

    In training, the pulse train has the pitch of the clean speech, which the
    network learns to predict. Output and clean speech then have harmonics at
    the same frequencies, so their spectra can be compared. In eval mode, the
    noise is fixed. ``SpectralGate`` can keep clean parts of the recording.

    Arguments
    ---------
    width : int
        Size of a feature vector.
    sample_rate : int
        Sample rate of the output in Hz.
    hop_length : int
        Number of samples per frame.
    subframes : int
        Number of filters and pitch values per frame.
    n_fft : int
        FFT size of the filters in samples; an even number.
    channels : int
        Number of input and output channels of the blocks.
    intermediate : int
        Number of channels inside a block.
    layers : int
        Number of blocks.
    kernel_size : int
        Kernel size of the blocks in frames, an odd number.
    lowest_pitch, highest_pitch : float
        Range of the pitch in Hz.
    pitch_bins : int
        Number of pitch classes, equally spaced on a logarithmic scale.
    pitch_radius : int
        The predicted pitch is the weighted mean of the most likely class and
        this number of classes on either side.
    max_gain : float
        Maximum gain of a filter, as a natural logarithm.
    noise_samples : int
        Period of the noise in eval mode, in samples.
    spectral_gate : bool
        Whether to keep clean parts of the recording.
    gate_options : dict
        Arguments of ``SpectralGate``. None for the default values.
    level_width : int
        Size of the embedding of the recording's levels, which is concatenated
        with the features. None to add the embedding to the features instead.
        Ignored without a spectral gate.
    normalise : bool
        Whether to normalise the features, see ``FeatureNorm``.

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
    renamed_tensors = {
        "keeper.look.": "gate.level_projection.",
        "keeper.say.": "gate.output_projection.",
        "keeper.doubt": "gate.slope",
    }

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
        pitch_radius=4,
        max_gain=8.0,
        noise_samples=2**17,
        spectral_gate=False,
        gate_options=None,
        level_width=None,
        normalise=False,
    ):
        super().__init__(width, hop_length, sample_rate)
        self.subframes = subframes
        self.pitch_radius = pitch_radius
        self.max_gain = max_gain
        self.needs_recording = spectral_gate
        self.level_width = level_width if spectral_gate else None
        self.norm = FeatureNorm(width) if normalise else nn.Identity()
        self.trunk = ConvNeXt(
            width + (self.level_width or 0),
            channels,
            intermediate,
            layers,
            kernel_size,
        )
        bins = n_fft // 2 + 1
        self.filters = nn.Linear(channels, subframes * 3 * bins)
        self.pitch = nn.Linear(channels, subframes * pitch_bins)
        self.filters.apply(init_as_vocos)
        self.pitch.apply(init_as_vocos)
        self.direct = nn.Linear(width, subframes * bins)
        nn.init.zeros_(self.direct.weight)
        nn.init.zeros_(self.direct.bias)
        self._set_initial_gain(0.05)  # about the level of speech
        self.stft = FrameSTFT(n_fft, hop_length // subframes)
        if spectral_gate:
            self.gate = SpectralGate(
                self.level_width or width,
                channels,
                subframes,
                n_fft,
                **(gate_options or {}),
            )
        log_pitch = torch.linspace(
            math.log(lowest_pitch), math.log(highest_pitch), pitch_bins
        )
        noise = torch.randn(
            noise_samples, generator=torch.Generator().manual_seed(0)
        )
        self.register_buffer("log_pitch", log_pitch, persistent=False)
        self.register_buffer("noise", noise, persistent=False)

    def forward(self, features, recording=None, pitch=None):
        """Synthesise waveforms, see ``Vocoder.forward``.

        ``own_loss`` is the pitch error in nats. If ``pitch`` is None, the error
        is zero, and the predicted pitch is used.
        """
        filters, scores, gated = self.predict(features, recording)
        if pitch is None:
            hz = self.predicted_pitch(scores)
        else:
            hz = self.given_pitch(pitch)
        with torch.autocast(features.device.type, enabled=False):
            wav = self.render(hz.float(), filters, gated)
        if not self.training:
            wav = wav.clamp(-1, 1)
        if pitch is None:
            return wav, wav.new_zeros(())
        return wav, self.pitch_error(scores, pitch)

    def synthesise(
        self, features, recording=None, segments=(), states=None, overlap=0
    ):
        """Synthesise windows, see ``Vocoder.synthesise``.

        The harmonics and the noise are continuous from window to window of a
        channel. The state of a channel is a phase in cycles.
        """
        filters, scores, gated = self.predict(features, recording)
        hz = self.predicted_pitch(scores)
        phases, offsets, states = self._continue(
            hz, segments, states or {}, overlap
        )
        with torch.autocast(features.device.type, enabled=False):
            wav = self.render(hz, filters, gated, phases, offsets)
        return wav.clamp(-1, 1), states

    def predict(self, features, recording=None):
        """Run the network.

        Arguments
        ---------
        features : torch.Tensor
            Features ``(batch, frames, width)``.
        recording : torch.Tensor
            See ``forward``.

        Returns
        -------
        filters : torch.Tensor
            Filters ``(batch, frames * subframes, 3, bins)``, see ``render``.
        scores : torch.Tensor
            Pitch logits ``(batch, frames * subframes, pitch_bins)``.
        gated : tuple of torch.Tensor
            Gated spectra of the recording and gains of synthesised spectra,
            both ``(batch, frames * subframes, bins)``. None without a gate.
        """
        inputs = features = self.norm(features)
        if self.needs_recording:
            spectra, levels = self._analyse(recording, features)
            embedded = self.gate.embed(levels)
            if self.level_width is None:
                inputs = features + embedded
            else:
                inputs = torch.cat([features, embedded], dim=-1)
        hidden = self.trunk(inputs)
        filters = self.filters(hidden).unflatten(-1, (self.subframes, 3, -1))
        gains = self.direct(features).unflatten(-1, (self.subframes, 1, -1))
        gains = gains.expand_as(filters[..., :2, :])
        filters = filters + F.pad(gains, (0, 0, 0, 1))  # zeros for the phase
        filters = filters.flatten(1, 2).float()
        scores = self.pitch(hidden).unflatten(-1, (self.subframes, -1))
        scores = scores.flatten(1, 2).float()
        if not self.needs_recording:
            return filters, scores, None
        log_power = 2 * filters[:, :, :2].clamp(max=self.max_gain)
        levels_predicted = torch.logaddexp(*log_power.unbind(dim=2)) / 2
        recorded, synthesised = self.gate(hidden, levels, levels_predicted)
        if recording is None:  # DDP needs a gradient for every weight
            recorded, synthesised = 0 * recorded, 1 + 0 * synthesised
        return filters, scores, (recorded * spectra, synthesised)

    def render(self, hz, filters, gated=None, phases=None, offsets=None):
        """Filter a pulse train and noise, and add the gated recording.

        Arguments
        ---------
        hz : torch.Tensor
            Pitch in Hz ``(batch, frames * subframes)``.
        filters : torch.Tensor
            ``(batch, frames * subframes, 3, bins)``: the logarithms of the
            gains for pulses and noise, and the phase for pulses.
        gated : tuple of torch.Tensor
            See ``predict``.
        phases : torch.Tensor
            Initial phases of the pulses in cycles ``(batch,)``. None for 0.
        offsets : torch.Tensor
            Number of samples of the noise to skip ``(batch,)``. None for 0.

        Returns
        -------
        torch.Tensor
            Waveforms ``(batch, time)``.
        """
        pulses = pulse_train(hz, self.stft.hop_length, self.sample_rate, phases)
        noise = self._noise(pulses, offsets)
        gains = filters[:, :, :2].clamp(max=self.max_gain).exp()
        pulse_filters = torch.polar(gains[:, :, 0], filters[:, :, 2])
        spectra = self.stft.analyse(pulses) * pulse_filters
        spectra = spectra + self.stft.analyse(noise) * gains[:, :, 1]
        if gated is not None:
            recording, synthesised = gated
            spectra = recording + synthesised * spectra
        return self.stft.synthesise(spectra)

    def given_pitch(self, pitch):
        """Return the pitch in Hz; zeros (padding) become the lowest pitch."""
        hz = pitch[..., 0].float()
        return hz.where(hz > 0, self.log_pitch[0].exp())

    def predicted_pitch(self, scores):
        """Return the weighted mean pitch around the most likely class.

        Arguments
        ---------
        scores : torch.Tensor
            Pitch logits ``(batch, frames * subframes, pitch_bins)``.

        Returns
        -------
        torch.Tensor
            Pitch in Hz ``(batch, frames * subframes)``.
        """
        best = scores.argmax(dim=-1, keepdim=True)
        classes = torch.arange(scores.shape[-1], device=scores.device)
        near = (classes - best).abs() <= self.pitch_radius
        weights = scores.masked_fill(~near, -torch.inf).softmax(dim=-1)
        return (weights * self.log_pitch).sum(dim=-1).exp()

    def pitch_error(self, scores, pitch):
        """Return the mean cross-entropy of the pitch in voiced frames.

        The target is a Gaussian with a standard deviation of one class.

        Arguments
        ---------
        scores : torch.Tensor
            Pitch logits ``(batch, frames * subframes, pitch_bins)``.
        pitch : torch.Tensor
            See ``forward``.

        Returns
        -------
        torch.Tensor
            Scalar, in nats.
        """
        hz, voiced = self.given_pitch(pitch), pitch[..., 1].float()
        step = self.log_pitch[1] - self.log_pitch[0]
        distance = (hz.log()[..., None] - self.log_pitch) / step
        target = (-distance.square() / 2).softmax(dim=-1)
        error = -(target * scores.log_softmax(dim=-1)).sum(dim=-1)
        return (error * voiced).sum() / voiced.sum().clamp(min=1.0)

    @torch.no_grad()
    def warm_start(self, source):
        """Initialise the filters from the head of a pretrained backbone.

        For features that are not normalised, the linear layer from features to
        gains then predicts the same gains as the head.

        Arguments
        ---------
        source : str or Path
            Folder of a backbone that was pretrained in stage 0 with
            ``SpectralTargets``.
        """
        spectra = read_spectra(source)
        bins = self.direct.out_features // self.subframes
        hz = torch.linspace(0, self.sample_rate / 2, bins)
        bias = spectra(torch.zeros(self.width), hz).flatten()
        rows = spectra(torch.eye(self.width), hz).flatten(1)
        self.direct.weight.copy_((rows - bias).mT)
        self.direct.bias.copy_(bias)
        self.filters.weight.mul_(0.1)
        # Pulses and noise each have half of the power.
        self._set_initial_gain(math.sqrt(0.5))

    @torch.no_grad()
    def _set_initial_gain(self, gain):
        """Set the initial gain of pulses and noise."""
        bias = self.filters.bias.unflatten(0, (self.subframes, 3, -1))
        bias.zero_()
        bias[:, :2] = math.log(gain)

    def _analyse(self, recording, features):
        """Return spectra and levels of the recording, or of silence if None."""
        if recording is None:
            recording = features.new_zeros(len(features), 0)
        with torch.autocast(features.device.type, enabled=False):
            missing = features.shape[1] * self.hop_length - recording.shape[1]
            recording = F.pad(recording.float(), (0, missing))
            spectra = self.stft.analyse(recording)
            return spectra, self.gate.levels(spectra)

    def _continue(self, hz, segments, states, overlap):
        """Return the windows' initial phases and noise offsets, and new states.

        Consecutive windows are in phase in the middle of their cross-fade.
        """
        passed = cycles(hz, self.stft.hop_length, self.sample_rate)
        middle = overlap // 2 * self.hop_length
        steps = [
            0 if next_start is None else next_start - start
            for _, start, next_start in segments
        ]
        points = torch.tensor(
            [[middle, middle + step * self.hop_length] for step in steps],
            dtype=torch.long,
        ).reshape(-1, 2)
        points = points.clamp(max=passed.shape[1] - 1).to(passed.device)
        points = passed[: len(points)].gather(1, points).tolist()
        phases = torch.zeros(len(hz), dtype=torch.float64)
        offsets = torch.zeros(len(hz), dtype=torch.long)
        states = dict(states)
        for row, ((channel, start, next_start), (first, last)) in enumerate(
            zip(segments, points, strict=True)
        ):
            if channel in states:
                phases[row] = states.pop(channel) - first
            offsets[row] = start * self.hop_length
            if next_start is not None:
                states[channel] = (phases[row].item() + last) % 1
        return phases.to(passed.device), offsets.to(hz.device), states

    def _noise(self, like, offsets):
        """Return white noise with the same shape as ``like``."""
        if self.training:
            return torch.randn_like(like)
        index = torch.arange(like.shape[1], device=like.device)
        if offsets is not None:
            index = index + offsets[:, None]
        return self.noise[index % len(self.noise)].expand_as(like)
