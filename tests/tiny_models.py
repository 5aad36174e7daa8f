"""Tiny speech encoders with random weights, for all supported families.

Authors
 * The miipher2 authors 2026
"""

import torch
import transformers

FAMILIES = [
    "hubert_base_like",
    "hubert",
    "wav2vec2",
    "wavlm",
    "data2vec",
    "w2v_bert",
    "whisper",
]


def tiny_config(family, layers=3, width=32):
    """Return the config of a tiny model with a hop length of 320 samples.

    Arguments
    ---------
    family : str
        One of ``FAMILIES``.
    layers : int
        Number of Transformer layers.
    width : int
        Number of features per frame, a multiple of 4.

    Returns
    -------
    transformers.PretrainedConfig
        The config. Layer drop is enabled and, for most families, so are masking
        and dropout.
    """
    if family == "whisper":
        return transformers.WhisperConfig(
            d_model=width,
            encoder_layers=layers,
            encoder_attention_heads=4,
            encoder_ffn_dim=2 * width,
            decoder_layers=2,
            decoder_attention_heads=4,
            decoder_ffn_dim=2 * width,
            vocab_size=20,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
            dropout=0.1,
            encoder_layerdrop=0.1,
        )
    transformer = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * width,
    }
    if family == "w2v_bert":
        return transformers.Wav2Vec2BertConfig(
            **transformer, mask_time_prob=0.05
        )
    # With 8 channels per group, PyTorch 2.14 computes wrong bf16 convolutions
    # on CPUs with AMX.
    cnn = {"conv_dim": [16] * 7, "num_conv_pos_embedding_groups": 2}
    if family == "data2vec":
        return transformers.Data2VecAudioConfig(**transformer, **cnn)
    cnn["num_conv_pos_embeddings"] = 16
    if family == "hubert_base_like":
        return transformers.HubertConfig(**transformer, **cnn)
    config_class = {
        "hubert": transformers.HubertConfig,
        "wav2vec2": transformers.Wav2Vec2Config,
        "wavlm": transformers.WavLMConfig,
    }[family]
    return config_class(
        **transformer,
        **cnn,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
    )


def tiny_extractor(config):
    """Return the feature extractor of a config from ``tiny_config``."""
    if config.model_type == "whisper":
        return transformers.WhisperFeatureExtractor()
    if config.model_type == "wav2vec2-bert":
        return transformers.SeamlessM4TFeatureExtractor()
    norm = getattr(config, "feat_extract_norm", "layer")
    return transformers.Wav2Vec2FeatureExtractor(do_normalize=norm == "layer")


def save_tiny_backbone(folder, family, layers=3, width=32):
    """Save a tiny model and its feature extractor in Hugging Face format.

    Arguments
    ---------
    folder : str or Path
        The folder to write to.
    family : str
        One of ``FAMILIES``.
    layers : int
        Number of Transformer layers.
    width : int
        Number of features per frame, a multiple of 4.

    Returns
    -------
    str
        The folder of the model.
    """
    config = tiny_config(family, layers, width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(family))
        model = transformers.AutoModel.from_config(config)
        # Initially, most biases are 0 and the weights of norms are 1. Perturb
        # them, so that tests notice whether they are applied.
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tiny_extractor(config).save_pretrained(folder)
    return str(folder)
