"""Front ends of speech encoders.

There is one class for each kind of input: waveforms, Kaldi filter banks and
log-mel spectrograms. The classes also differ in the alignment of frames with
samples, and in the names of the layers. With each class, a clip of ``n``
samples has ``ceil(n / hop_length)`` frames.

Authors
 * The miipher2 authors 2026
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from transformers import (
    AutoModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from miipher2.errors import UserError
from miipher2.models.channels_last import ChannelsLastCNN


class FrontEnd:
    """Base class of the front ends.

    A front end prepares the model's input, computes the hidden states below the
    first layer (``stem``), and runs the layers (``encode``).

    Arguments
    ---------
    config : transformers.PretrainedConfig
        The model's config.
    extractor : transformers.FeatureExtractionMixin
        The model's feature extractor, which defines the sample rate, the window
        and the mel filters.

    Attributes
    ----------
    model_class : class
        The transformers class that loads or builds the model.
    key_mapping : dict
        Regular expressions that rename the tensors of a checkpoint, passed to
        ``from_pretrained``. None to keep the names.
    layers_key : str
        Config key for the number of layers.
    layers_name : str
        Submodule name of the list of layers in the model.
    feed_forward_name : str
        Submodule name of the feed-forward block in a layer.
    hop_length : int
        Number of samples per frame.
    max_seconds : float
        Maximum length of a clip in seconds. None if there is no limit.
    max_frames : int
        Number of absolute position embeddings. None if the model has none.
    """

    model_class = AutoModel
    key_mapping = None
    layers_key = "num_hidden_layers"
    layers_name = "encoder.layers"
    feed_forward_name = "feed_forward"
    hop_length = 320
    max_seconds = None
    max_frames = None

    def __init__(self, config, extractor):
        self.sample_rate = extractor.sampling_rate

    @staticmethod
    def default_extractor(config):
        """Return the feature extractor of a model built from a config."""
        raise NotImplementedError

    @staticmethod
    def final_norm(config):
        """Return the name of the final norm, or None if there is none."""
        return None

    def patch(self, model):
        """Modify a loaded model to support adapters and padded batches."""

    def prepare_inference(self, model):
        """Optimise a model for inference, after which it cannot be trained."""

    def prepare(self, wavs):
        """Convert unpadded waveforms (batch, time) to inputs of the model."""
        raise NotImplementedError

    def stem(self, model, inputs, start):
        """Compute the hidden states (batch, frames, width) of prepared inputs.

        ``start`` is the position of the first frame. Only models with absolute
        position embeddings use it.
        """
        return _hidden_states(model.feature_projection(inputs))

    def encode(self, model, hidden, mask):
        """Compute features from hidden states, both (batch, frames, width).

        ``mask`` is a boolean tensor (batch, frames), True for valid frames, or
        None if there is no padding.
        """
        if mask is not None:
            # The encoders in transformers set the padding to zero in place.
            hidden = hidden.clone()
        return model.encoder(hidden, attention_mask=mask).last_hidden_state

    def original_name(self, name):
        """Return the name that a tensor had before ``patch``."""
        return name


class RawWave(FrontEnd):
    """Front end of HuBERT, wav2vec 2.0, WavLM and data2vec-audio: a CNN.

    The CNN has a receptive field of R samples (by default 400) and a hop length
    of H samples (320). With (R - H) / 2 zeros before the clip, frame i is
    centred on the samples [H i, H i + H), which a vocoder synthesises from this
    frame.

    Example
    -------
    >>> from transformers import Wav2Vec2Config
    >>> config = Wav2Vec2Config(feat_extract_norm="layer")
    >>> front_end = RawWave(config, RawWave.default_extractor(config))
    >>> front_end.hop_length, front_end.receptive_field
    (320, 400)
    >>> front_end.prepare(torch.randn(1, 641)).shape  # 3 frames
    torch.Size([1, 1040])
    """

    def __init__(self, config, extractor):
        super().__init__(config, extractor)
        self.do_normalize = extractor.do_normalize
        self.hop_length = math.prod(config.conv_stride)
        self.receptive_field = 1
        for kernel, stride in zip(
            reversed(config.conv_kernel),
            reversed(config.conv_stride),
            strict=True,
        ):
            self.receptive_field = (self.receptive_field - 1) * stride + kernel

    @staticmethod
    def default_extractor(config):
        # Models with a group norm were trained on unnormalised waveforms, and
        # models with layer norms on normalised waveforms. Configs of data2vec
        # lack the key, because all data2vec models have layer norms.
        norm = getattr(config, "feat_extract_norm", "layer")
        return Wav2Vec2FeatureExtractor(do_normalize=norm == "layer")

    @staticmethod
    def final_norm(config):
        pre_norm = getattr(config, "do_stable_layer_norm", False)
        return "encoder.layer_norm" if pre_norm else None

    def patch(self, model):
        model.encoder.pos_conv_embed = PositionsInStem(
            model.encoder.pos_conv_embed
        )

    def prepare(self, wavs):
        if self.do_normalize:
            mean = wavs.mean(-1, keepdim=True)
            var = wavs.var(-1, correction=0, keepdim=True)
            wavs = (wavs - mean) / torch.sqrt(var + 1e-7)
        frames = math.ceil(wavs.shape[-1] / self.hop_length)
        total = (frames - 1) * self.hop_length + self.receptive_field
        left = (self.receptive_field - self.hop_length) // 2
        return F.pad(wavs, (left, total - left - wavs.shape[-1]))

    def prepare_inference(self, model):
        cnn = model.feature_extractor
        on_cpu = next(model.parameters()).device.type == "cpu"
        if on_cpu and all(
            isinstance(getattr(layer, "layer_norm", None), nn.LayerNorm)
            for layer in cnn.conv_layers
        ):
            model.feature_extractor = ChannelsLastCNN(cnn)

    def stem(self, model, inputs, start):
        hidden = model.feature_extractor(inputs).transpose(1, 2)
        hidden = _hidden_states(model.feature_projection(hidden))
        positions = model.encoder.pos_conv_embed.pretrained_module
        return hidden + positions(hidden)


class PositionsInStem(nn.Module):
    """A module that replaces the positional convolution and returns zero.

    The stem applies the convolution to each clip without padding. In a padded
    batch, the padding would change the last frames of a clip if the model has a
    batch norm or, like data2vec, several convolutions in series.

    Arguments
    ---------
    pretrained_module : torch.nn.Module
        The model's positional convolution.
    """

    def __init__(self, pretrained_module):
        super().__init__()
        self.pretrained_module = pretrained_module

    def forward(self, hidden):
        """Return a scalar zero."""
        return hidden.new_zeros(())


class KaldiFbank(FrontEnd):
    """Front end of w2v-BERT 2.0: Kaldi filter banks, normalised per clip.

    The filter banks have windows of 25 ms and a hop of 10 ms. Frame i consists
    of the windows 2i and 2i + 1. The clip is extended by 120 samples on the
    left, so frame i is centred on the samples [320 i, 320 i + 320). The edges
    are extended by mirroring, as in Kaldi without ``snip_edges``, because zeros
    would bias the mean and the variance of the clip.

    Example
    -------
    >>> from transformers import Wav2Vec2BertConfig
    >>> config = Wav2Vec2BertConfig()
    >>> front_end = KaldiFbank(config, KaldiFbank.default_extractor(config))
    >>> front_end.prepare(torch.randn(1, 641)).shape
    torch.Size([1, 3, 160])
    """

    feed_forward_name = "ffn2"
    window_length, window_shift = 400, 160

    def __init__(self, config, extractor):
        super().__init__(config, extractor)
        self.stack = extractor.stride
        self.hop_length = self.stack * self.window_shift
        self.window = _float_tensor(extractor.window)
        self.mel_filters = _float_tensor(extractor.mel_filters)

    @staticmethod
    def default_extractor(config):
        stack = 2
        n_mels = config.feature_projection_input_dim // stack
        return SeamlessM4TFeatureExtractor(
            feature_size=n_mels, num_mel_bins=n_mels, stride=stack
        )

    def pad(self, wavs):
        """Extend both edges by mirroring to complete the outer windows."""
        time = wavs.shape[-1]
        overlap = self.window_length - self.window_shift
        total = math.ceil(time / self.hop_length) * self.hop_length + overlap
        index = torch.arange(total, device=wavs.device) - overlap // 2
        index = index.remainder(2 * time)
        return wavs[:, torch.minimum(index, 2 * time - 1 - index)]

    def prepare(self, wavs):
        # Kaldi expects samples in the range of 16-bit integers.
        windows = (self.pad(wavs) * 2**15).unfold(
            -1, self.window_length, self.window_shift
        )
        windows = windows - windows.mean(-1, keepdim=True)
        previous = torch.cat([windows[..., :1], windows[..., :-1]], dim=-1)
        windows = (windows - 0.97 * previous) * self.window.to(wavs.device)
        spectrum = torch.view_as_real(torch.fft.rfft(windows, n=512))
        mel = spectrum.square().sum(-1) @ self.mel_filters.to(wavs.device)
        mel = mel.clamp(min=torch.finfo(torch.float32).eps).log()
        mean, var = mel.mean(1, keepdim=True), mel.var(1, keepdim=True)
        mel = (mel - mean) / torch.sqrt(var + 1e-7)
        return mel.unflatten(1, (-1, self.stack)).flatten(2)


class LogMel(FrontEnd):
    """Front end of Whisper: log-mel spectrograms of clips of up to 30 s.

    ``WhisperEncoder`` accepts only inputs of exactly 30 s, so this class calls
    the encoder's convolutions and layers directly, and adds the position
    embeddings. Frame i is centred on sample 320 i, which is 10 ms before the
    middle of the samples that a vocoder synthesises from this frame.

    Example
    -------
    >>> from transformers import WhisperConfig
    >>> config = WhisperConfig()
    >>> front_end = LogMel(config, LogMel.default_extractor(config))
    >>> front_end.prepare(torch.randn(1, 641)).shape  # 3 frames after the stem
    torch.Size([1, 80, 6])
    """

    model_class = WhisperEncoder
    # Removes the encoder's prefix in checkpoints of complete Whisper models.
    key_mapping = {r"^(model\.)?encoder\.": ""}
    layers_key = "encoder_layers"
    layers_name = "layers"
    feed_forward_name = "fc1"

    def __init__(self, config, extractor):
        super().__init__(config, extractor)
        self.n_fft, self.shift = extractor.n_fft, extractor.hop_length
        # The stride of the stem's second convolution is 2
        self.hop_length = 2 * self.shift
        self.max_frames = config.max_source_positions
        self.max_seconds = self.max_frames * self.hop_length / self.sample_rate
        self.window = torch.hann_window(self.n_fft)
        self.mel_filters = _float_tensor(extractor.mel_filters)

    @staticmethod
    def default_extractor(config):
        return WhisperFeatureExtractor(feature_size=config.num_mel_bins)

    @staticmethod
    def final_norm(config):
        return "layer_norm"

    def patch(self, model):
        # A layer calls fc1, activation_fn and fc2 in succession. Here, fc1 is
        # replaced with a sequence of all three, which an adapter can wrap.
        for layer in model.layers:
            layer.fc1 = nn.Sequential(layer.fc1, layer.activation_fn, layer.fc2)
            layer.activation_fn = nn.Identity()
            layer.fc2 = nn.Identity()

    def original_name(self, name):
        return name.replace("fc1.0.", "fc1.").replace("fc1.2.", "fc2.")

    def pad(self, wavs):
        """Pad with zeros to a multiple of the hop length."""
        return F.pad(wavs, (0, -wavs.shape[-1] % self.hop_length))

    def prepare(self, wavs):
        seconds = wavs.shape[-1] / self.sample_rate
        if seconds > self.max_seconds:
            raise UserError(
                f"the clip is {seconds:.1f} s long, but Whisper accepts at "
                f"most {self.max_seconds:g} s; reduce segment_seconds "
                "(training) or window_seconds (restoration)"
            )
        spectrum = torch.stft(
            self.pad(wavs),
            self.n_fft,
            self.shift,
            window=self.window.to(wavs.device),
            return_complex=True,
        )
        power = torch.view_as_real(spectrum[..., :-1]).square().sum(-1)
        mel = self.mel_filters.T.to(wavs.device) @ power
        mel = mel.clamp(min=1e-10).log10()
        mel = torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8.0)
        return (mel + 4.0) / 4.0

    def stem(self, model, inputs, start):
        hidden = F.gelu(model.conv1(inputs))
        hidden = F.gelu(model.conv2(hidden)).transpose(1, 2)
        end = start + hidden.shape[1]
        return hidden + model.embed_positions.weight[start:end]

    def encode(self, model, hidden, mask):
        if mask is not None:
            # Whisper's layers add the mask to the attention scores.
            lowest = torch.finfo(hidden.dtype).min
            mask = (~mask)[:, None, None] * lowest
            mask = mask.to(hidden.dtype)
        for layer in model.layers:
            hidden = _hidden_states(layer(hidden, mask))
        return model.layer_norm(hidden)


# Front end by ``model_type`` of the config
FRONT_ENDS = {
    "hubert": RawWave,
    "wav2vec2": RawWave,
    "wavlm": RawWave,
    "data2vec-audio": RawWave,
    "wav2vec2-bert": KaldiFbank,
    "whisper": LogMel,
}


def _hidden_states(output):
    """Return the output of a module, or its first item if it is a tuple."""
    return output[0] if isinstance(output, tuple) else output


def _float_tensor(values):
    """Return values of the extractor as a tensor in fp32."""
    return torch.as_tensor(values, dtype=torch.float32)
