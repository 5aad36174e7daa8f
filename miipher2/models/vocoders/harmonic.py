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
    warm_start : str
        Folder of a backbone that stage 0 has trained with ``SpectralTargets``:
        the linear map of the features that is added to the filters' gains
        starts as what the backbone's head says of the spectra, so that the
        first step is understood already. None: it starts at zero.

    Example
    -------
    >>> vocoder = HarmonicVocoder(16, channels=8, intermediate=16, layers=2)
    >>> features, pitch = torch.rand(2, 10, 16), torch.rand(2, 20, 2) + 100
    >>> wav, pitch_error = vocoder(features, pitch)
    >>> wav.shape, pitch_error.shape
    (torch.Size([2, 3200]), torch.Size([]))
    >>> vocoder.eval()(features).shape
    torch.Size([2, 3200])
    """

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
        warm_start=None,
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
        loudness = 0.05  # about that of speech
        if warm_start is not None:
            # here, as who only speaks needs none of it
            from miipher2.models.pretraining import read_spectra

            self._start_with(read_spectra(warm_start), bins)
            loudness = math.sqrt(0.5)  # half of the power each
        start = torch.zeros(subframes, 3, bins)
        start[:, :2] = math.log(loudness)
        self.filters.bias.data.copy_(start.flatten())
        self.stft = FrameSTFT(n_fft, hop_length // subframes)
        self.hears_recording = keep
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

    def forward(self, features, pitch=None, recording=None):
        """Speaks features.

        Arguments
        ---------
        features : torch.Tensor
            ``(batch, frames, width)``.
        pitch : torch.Tensor
            For training: Hz and how voiced it is, in [0, 1], ``(batch, frames
            * subframes, 2)``. None: the pitch that it hears.
        recording : torch.Tensor
            What the features are of ``(batch, time)``, at ``sample_rate``, if
            it is to keep something of it. None: it makes everything anew.

        Returns
        -------
        torch.Tensor or tuple
            ``(batch, frames * hop_length)``; with ``pitch`` a pair of that
            and the pitch error, a scalar in nats.
        """
        filters, scores, kept = self.describe(features, recording)
        hz = self.heard(scores) if pitch is None else pitch[..., 0]
        with torch.autocast(features.device.type, enabled=False):
            wav = self.shape(hz.float(), filters, kept)
        if not self.training:
            wav = wav.clamp(-1, 1)
        if pitch is None:
            return wav
        return wav, self.pitch_error(scores, pitch)

    def speak(self, features, windows=(), meeting=0, recording=None):
        """Speaks windows whose harmonics go on where the last one's were."""
        filters, scores, kept = self.describe(features, recording)
        hz = self.heard(scores)
        passed = cycles(hz, self.stft.hop_length, self.sample_rate)
        met = meeting * self.hop_length
        ends = [
            w.start if w.next_start is None else w.next_start for w in windows
        ]
        places = [
            [met, met + (end - window.start) * self.hop_length]
            for window, end in zip(windows, ends, strict=True)
        ]
        places = torch.tensor(places, dtype=torch.long).reshape(-1, 2)
        places = places.clamp(max=passed.shape[1] - 1).to(passed.device)
        there = passed[: len(places)].gather(1, places).tolist()
        cycles_before = torch.zeros(len(hz), dtype=torch.float64)
        samples_before = torch.zeros(len(hz), dtype=torch.long)
        states = {}
        for row, (window, (first, last)) in enumerate(
            zip(windows, there, strict=True)
        ):
            channel = window.channel
            state = states.get(id(channel), channel.state)
            if state is not None:
                cycles_before[row] = state - first
            samples_before[row] = window.start * self.hop_length
            if window.next_start is not None:
                states[id(channel)] = (cycles_before[row].item() + last) % 1
        with torch.autocast(features.device.type, enabled=False):
            wav = self.shape(
                hz,
                filters,
                kept,
                cycles_before.to(hz.device),
                samples_before.to(hz.device),
            ).clamp(-1, 1)
        for window in windows:  # not sooner: without memory it is tried again
            channel = window.channel
            channel.state = states.get(id(channel), channel.state)
        return wav

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
        if self.hears_recording:
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
        if not self.hears_recording:
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
    def _start_with(self, spectra, bins):
        """Makes the direct map that of a head, see ``read_spectra``."""
        hz = torch.linspace(0, self.sample_rate / 2, bins)
        none = spectra(torch.zeros(self.width), hz).flatten()
        each = spectra(torch.eye(self.width), hz).flatten(1)
        self.direct.weight.copy_((each - none).mT)
        self.direct.bias.copy_(none)
        self.filters.weight.mul_(0.1)

    def _noise(self, like, samples_before):
        if self.training:
            return torch.randn_like(like)
        index = torch.arange(like.shape[1], device=like.device)
        if samples_before is not None:
            index = index + samples_before[:, None]
        return self.noise[index % NOISE_SAMPLES].expand_as(like)
