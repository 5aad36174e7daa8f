"""Tests of miipher2.models.backbone and miipher2.models.frontends.

Authors
 * The miipher2 authors 2026
"""

import copy
import glob
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from hyperpyyaml import load_hyperpyyaml
from safetensors.torch import load_file, save_file
from speechbrain.nnet.adapters import AdaptedModel
from tiny_models import (
    FAMILIES,
    save_tiny_backbone,
    tiny_config,
    tiny_extractor,
)

from miipher2.errors import UserError
from miipher2.models.backbone import SSLBackbone

HPARAMS = os.path.join(os.path.dirname(__file__), "..", "..", "hparams")
LAYERS = 3


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("backbones")
    return {
        family: save_tiny_backbone(root / family, family, layers=LAYERS)
        for family in FAMILIES
    }


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def speechlike(*shape, seed=0):
    """Return noise with an offset and a varying level."""
    generator = torch.Generator().manual_seed(seed)
    envelope = torch.linspace(0.02, 0.3, shape[-1])
    return envelope * torch.randn(shape, generator=generator) + 0.01


def clip_for(family, seed=0):
    """Return a clip (1, time); 30 s for Whisper, as transformers requires."""
    return speechlike(1, 480000 if family == "whisper" else 9001, seed=seed)


def full_model(folder):
    model = transformers.AutoModel.from_pretrained(folder).eval()
    return model.encoder if model.config.model_type == "whisper" else model


def relative_error(got, expected):
    return ((got - expected).abs().max() / expected.abs().max()).item()


class AddingAdapter(torch.nn.Module):
    """A toy adapter that adds its weighted input to the module's output."""

    def __init__(self, pretrained_module, value):
        super().__init__()
        self.pretrained_module = pretrained_module
        self.weight = torch.nn.Parameter(torch.tensor(value))

    def forward(self, hidden):
        return self.pretrained_module(hidden) + self.weight * hidden


def insert_adapters(backbone, value):
    """Insert adapters, as ``FeatureCleaner`` does."""
    AdaptedModel(
        backbone,
        AddingAdapter,
        target_layers=backbone.feed_forward_sites(),
        adapter_kwargs={"value": value},
    )


# Features -------------------------------------------------------------------


@pytest.mark.parametrize("layer", [LAYERS - 1, LAYERS])
@torch.no_grad()
def test_features_equal_hidden_states_of_the_full_model(folders, family, layer):
    wavs = clip_for(family)
    backbone = SSLBackbone(folders[family], layer)
    inputs = backbone.front_end.prepare(wavs)
    out = full_model(folders[family])(inputs, output_hidden_states=True)
    # In transformers 5, the last of the hidden_states of a pre-norm model lacks
    # the final norm. last_hidden_state includes it in every version.
    last = layer == LAYERS
    expected = out.last_hidden_state if last else out.hidden_states[layer]
    assert relative_error(backbone(wavs), expected) < 1e-5


@torch.no_grad()
def test_applying_the_final_norm_again_changes_the_features(folders):
    """The final norm is not the identity, so the test above depends on it."""
    for family in ["hubert", "wav2vec2", "wavlm", "whisper"]:
        backbone = SSLBackbone(folders[family], LAYERS)
        name = backbone.front_end.final_norm(backbone.model.config)
        norm = backbone.model.get_submodule(name)
        features = backbone(speechlike(1, 3200))
        assert relative_error(norm(features), features) > 0.1


@torch.no_grad()
def test_padding_does_not_change_the_features(folders, family):
    backbone = SSLBackbone(folders[family], LAYERS)
    random = np.random.default_rng(7)
    time = 12345
    for _ in range(3):
        samples = [1, *random.integers(2, time, size=3).tolist()]
        # The padding is not zero.
        wavs = speechlike(len(samples), time, seed=samples[1])
        lengths = torch.tensor(samples) / time
        features = backbone(wavs, lengths)
        assert features.shape == (len(samples), math.ceil(time / 320), 32)
        for padded, wav, n in zip(features, wavs, samples, strict=True):
            alone = backbone(wav[None, :n])[0]
            assert len(alone) == math.ceil(n / 320)
            assert relative_error(padded[: len(alone)], alone) < 1e-4
            assert not padded[len(alone) :].any()


@torch.no_grad()
def test_positional_batch_norm_does_not_leak_padding():
    """Padding does not change features, even if a batch norm shifts zeros."""
    config = tiny_config("hubert_base_like")
    config.conv_pos_batch_norm = True
    backbone = SSLBackbone(config, 2)
    norm = backbone.model.encoder.pos_conv_embed.pretrained_module.batch_norm
    norm.running_mean.fill_(1.0)
    wavs = speechlike(2, 6400)
    padded = backbone(wavs, torch.tensor([1.0, 0.5]))[1, :10]
    alone = backbone(wavs[1:, :3200])[0]
    assert relative_error(padded, alone) < 1e-4


@torch.no_grad()
def test_a_batch_without_padding_gives_the_same_features_as_single_clips(
    folders, family
):
    backbone = SSLBackbone(folders[family], LAYERS)
    wavs = torch.cat([speechlike(1, 4000), 3 * speechlike(1, 4000, seed=1)])
    together, mask = backbone.embed(wavs, torch.ones(2))
    assert mask is None
    separate = torch.cat([backbone(wavs[:1]), backbone(wavs[1:])])
    assert relative_error(backbone.encode(together), separate) < 1e-4


@pytest.mark.parametrize("time", [1, 319, 320, 321, 640, 2000])
@torch.no_grad()
def test_number_of_frames_is_rounded_up(folders, family, time):
    backbone = SSLBackbone(folders[family], 1)
    features = backbone(speechlike(1, time))
    assert features.shape == (1, math.ceil(time / backbone.hop_length), 32)
    assert features.isfinite().all()


def test_there_is_no_mask_if_all_frames_are_valid(folders, family):
    backbone = SSLBackbone(folders[family], 1)
    hidden, mask = backbone.embed(
        speechlike(2, 640), torch.tensor([1.0, 639 / 640])
    )
    assert hidden.shape[1] == 2 and mask is None


@torch.no_grad()
def test_encode_does_not_modify_its_input(folders, family):
    """Two passes, with and without adapters, can share the output of embed."""
    backbone = SSLBackbone(folders[family], 2)
    hidden, mask = backbone.embed(speechlike(2, 4000), torch.tensor([1.0, 0.4]))
    hidden[1, 5:] = 7.0
    before = hidden.clone()
    first = backbone.encode(hidden, mask)
    assert torch.equal(hidden, before)
    assert torch.equal(backbone.encode(hidden, mask), first)


def test_features_of_silence_are_finite(folders, family):
    assert (
        SSLBackbone(folders[family], 2)(torch.zeros(1, 1000)).isfinite().all()
    )


@torch.no_grad()
def test_features_under_bf16_autocast_are_close(folders, family):
    backbone = SSLBackbone(folders[family], LAYERS)
    wavs, lengths = speechlike(2, 8000), torch.tensor([1.0, 0.6])
    expected = backbone(wavs, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        got = backbone(wavs, lengths)
    assert got.isfinite().all()
    assert (got - expected).norm() / expected.norm() < 0.05


@torch.no_grad()
def test_prepare_inference_does_not_change_features(folders, family):
    backbone = SSLBackbone(folders[family], 2)
    wavs, lengths = speechlike(2, 8000), torch.tensor([1.0, 0.6])
    expected = backbone(wavs, lengths)
    backbone.prepare_inference()
    got = backbone(wavs, lengths)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_features_of_a_model_in_bf16_are_close(folders, family):
    """The front end of a bf16 model still computes in fp32."""
    backbone = SSLBackbone(folders[family], 2)
    wavs = speechlike(1, 8000)
    expected = backbone(wavs)
    inputs = backbone.front_end.prepare(wavs)
    got = backbone.bfloat16()(wavs)
    assert torch.equal(backbone.front_end.prepare(wavs), inputs)
    assert got.dtype == torch.bfloat16
    assert (got.float() - expected).norm() / expected.norm() < 0.1


# Front ends -----------------------------------------------------------------


def test_normalisation_matches_transformers():
    backbone = SSLBackbone(tiny_config("wav2vec2"), 1)
    wav = speechlike(1, 5000)
    expected = tiny_extractor(tiny_config("wav2vec2"))(
        wav[0].numpy(), sampling_rate=16000, return_tensors="pt"
    ).input_values
    got = backbone.front_end.prepare(wav)[:, 40:5040]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_models_with_a_group_norm_do_not_normalise_the_waveform():
    wav = speechlike(1, 5000)
    got = SSLBackbone(tiny_config("hubert_base_like"), 1).front_end.prepare(wav)
    assert torch.equal(got[:, 40:5040], wav)


def test_the_feature_extractor_can_enable_normalisation(tmp_path):
    folder = save_tiny_backbone(tmp_path, "hubert_base_like")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(
        folder
    )
    got = SSLBackbone(folder, 1).front_end.prepare(speechlike(1, 5000))[
        :, 40:5040
    ]
    assert got.std() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("time", [700, 16000, 16001])
def test_filter_banks_match_transformers(time):
    front_end = SSLBackbone(tiny_config("w2v_bert"), 1).front_end
    wav = speechlike(1, time)
    expected = transformers.SeamlessM4TFeatureExtractor()(
        front_end.pad(wav)[0].numpy(), sampling_rate=16000, return_tensors="pt"
    ).input_features
    got = front_end.prepare(wav)
    assert got.shape == expected.shape
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=0)


def test_edges_are_mirrored_for_filter_banks():
    front_end = SSLBackbone(tiny_config("w2v_bert"), 1).front_end
    wav = torch.arange(1000.0)[None]
    padded = front_end.pad(wav)
    assert padded[0, 118:122].tolist() == [1, 0, 0, 1]
    assert padded[0, 1118:1122].tolist() == [998, 999, 999, 998]
    assert padded.shape == (1, 4 * 320 + 240)


def test_log_mel_spectrograms_match_transformers():
    front_end = SSLBackbone(tiny_config("whisper"), 1).front_end
    wav = speechlike(1, 7001)
    expected = transformers.WhisperFeatureExtractor()(
        front_end.pad(wav)[0].numpy(),
        sampling_rate=16000,
        padding=False,
        return_tensors="pt",
    ).input_features
    torch.testing.assert_close(
        front_end.prepare(wav), expected, atol=1e-4, rtol=0
    )


def test_frames_of_the_cnn_are_centred_on_their_samples():
    backbone = SSLBackbone(tiny_config("wav2vec2"), 1)
    backbone.front_end.do_normalize = False
    wav = speechlike(1, 3200).requires_grad_()
    cnn = backbone.model.feature_extractor(backbone.front_end.prepare(wav))
    cnn[0, :, 5].sum().backward()
    covered = wav.grad[0].nonzero().flatten()
    assert [covered.min(), covered.max()] == [5 * 320 - 40, 6 * 320 + 39]


def test_strides_determine_the_hop_length(tmp_path):
    """Hop length and frame rate are derived from the strides in the config."""
    config = tiny_config("wav2vec2")
    config.conv_stride = [5, 2, 2, 2, 2, 2, 4]  # 25 frames/s
    backbone = SSLBackbone(config, 1)
    assert (backbone.hop_length, backbone.frame_rate) == (640, 25.0)
    assert backbone(speechlike(1, 641)).shape == (1, 2, 32)


def test_whisper_rejects_clips_longer_than_30_s(folders):
    backbone = SSLBackbone(folders["whisper"], 1)
    assert backbone.max_seconds == 30.0
    with pytest.raises(UserError, match="30.0 s.*at most 30 s"):
        backbone(torch.zeros(1, 480001))


# Freezing and truncation ----------------------------------------------------


def test_layers_above_the_chosen_layer_are_not_built(folders, family):
    sizes, layer_sizes = [], []
    for layer in (1, 2, 3):
        backbone = SSLBackbone(folders[family], layer)
        layers = backbone.model.get_submodule(backbone.front_end.layers_name)
        assert len(layers) == layer
        sizes.append(sum(p.numel() for p in backbone.parameters()))
        layer_sizes.append(sum(p.numel() for p in layers[-1].parameters()))
    assert sizes[1] - sizes[0] == layer_sizes[1]
    full = transformers.AutoModel.from_pretrained(folders[family])
    assert sizes[1] < sum(p.numel() for p in full.parameters())


def test_train_does_not_leave_eval_mode(folders, family):
    config = copy.deepcopy(tiny_config(family))
    for key in ("hidden_dropout", "layerdrop", "dropout", "encoder_layerdrop"):
        if hasattr(config, key):
            setattr(config, key, 0.9)
    backbone = SSLBackbone(config, 2)
    wavs = speechlike(1, 16000)
    expected = backbone(wavs)
    outer = torch.nn.ModuleList([backbone]).train()
    assert outer.training
    assert not any(module.training for module in backbone.modules())
    assert not any(p.requires_grad for p in backbone.parameters())
    assert torch.equal(backbone(wavs), expected)


def test_gradients_reach_the_waveform_but_not_its_padding(folders, family):
    backbone = SSLBackbone(folders[family], 2)
    wavs = speechlike(2, 3000).requires_grad_()
    features = backbone(wavs, torch.tensor([1.0, 0.5]))
    features.square().sum().backward()
    assert wavs.grad[0].any() and wavs.grad[1, :1500].any()
    assert wavs.grad.isfinite().all()
    assert not wavs.grad[1, 1500:].any()


def test_attributes_describe_the_model(folders, family):
    backbone = SSLBackbone(folders[family], 2)
    assert backbone.width == 32
    assert backbone.sample_rate == 16000
    assert (backbone.hop_length, backbone.frame_rate) == (320, 50.0)
    assert backbone.layer == 2
    assert backbone.source == folders[family]
    assert backbone.model_type == tiny_config(family).model_type


# Adapter sites --------------------------------------------------------------


@torch.no_grad()
def test_adapters_at_the_feed_forward_sites_change_the_features(
    folders, family
):
    wavs, lengths = speechlike(2, 4000), torch.tensor([1.0, 0.7])
    backbone = SSLBackbone(folders[family], 2)
    expected = backbone(wavs, lengths)
    assert len(set(backbone.feed_forward_sites())) == 2
    insert_adapters(backbone, 0.0)
    assert torch.equal(backbone(wavs, lengths), expected)

    adapted = SSLBackbone(folders[family], 2)
    insert_adapters(adapted, 0.5)
    assert relative_error(adapted(wavs, lengths), expected) > 1e-3


@torch.no_grad()
def test_the_module_at_the_last_layer_site_returns_the_features(
    folders, family
):
    backbone = SSLBackbone(folders[family], 2)
    outputs = []

    def record(module, args, output):
        outputs.append(output[0] if isinstance(output, tuple) else output)

    for site in backbone.layer_sites():
        backbone.get_submodule(site).register_forward_hook(record)
    features = backbone(speechlike(1, 4000))
    assert len(outputs) == 2
    assert torch.equal(outputs[-1], features)


# Loading and saving ---------------------------------------------------------


PRINT_FINGERPRINT = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from tiny_models import tiny_config
from miipher2.models.backbone import SSLBackbone
torch.manual_seed(1)
print(SSLBackbone(tiny_config("wavlm"), 2).fingerprint)
"""


def test_random_weights_are_the_same_in_every_process():
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            PRINT_FINGERPRINT,
            os.path.dirname(os.path.dirname(__file__)),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    torch.manual_seed(2)
    fingerprint = SSLBackbone(tiny_config("wavlm"), 2).fingerprint
    assert printed.strip() == fingerprint


def test_neither_config_nor_random_state_is_modified(family):
    config = tiny_config(family)
    before = config.to_dict()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    SSLBackbone(config, 1)
    assert torch.equal(torch.rand(1), expected)
    assert config.to_dict() == before


@pytest.mark.parametrize("layer", [LAYERS - 1, LAYERS])
@torch.no_grad()
def test_a_saved_backbone_has_the_same_features(
    folders, family, layer, tmp_path
):
    wavs, lengths = speechlike(2, 4000), torch.tensor([1.0, 0.7])
    backbone = SSLBackbone(folders[family], layer)
    expected = backbone(wavs, lengths)
    insert_adapters(backbone, 0.5)
    backbone.save(tmp_path / "new" / "folder")
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    again = SSLBackbone(str(tmp_path / "new" / "folder"), layer)
    assert torch.equal(again(wavs, lengths), expected)
    assert again.fingerprint == backbone.fingerprint
    # Load the saved backbone again, without its last layer.
    lower = SSLBackbone(str(tmp_path / "new" / "folder"), layer - 1)
    below = SSLBackbone(folders[family], layer - 1)
    assert torch.equal(lower(wavs, lengths), below(wavs, lengths))


def test_the_fingerprint_depends_on_the_weights_but_not_on_their_precision(
    folders, family, tmp_path
):
    backbone = SSLBackbone(folders[family], 2)
    backbone.half().save(tmp_path)
    assert load_file(tmp_path / "model.safetensors").popitem()[1].dtype == (
        torch.float16
    )
    half = SSLBackbone(str(tmp_path), 2)
    assert next(half.parameters()).dtype == torch.float32
    assert half.fingerprint == backbone.fingerprint
    assert half.fingerprint != SSLBackbone(folders[family], 3).fingerprint
    assert half.fingerprint != SSLBackbone(tiny_config(family), 2).fingerprint


@pytest.mark.parametrize(
    ("family", "class_name"),
    [
        ("hubert_base_like", "HubertForCTC"),
        ("wav2vec2", "Wav2Vec2ForPreTraining"),
        ("whisper", "WhisperForConditionalGeneration"),
    ],
)
@torch.no_grad()
def test_checkpoints_with_heads_are_loaded(
    folders, family, class_name, tmp_path
):
    """The encoder is loaded from a checkpoint that also has a task head."""
    config = transformers.AutoConfig.from_pretrained(folders[family])
    model = getattr(transformers, class_name)(config)
    base = transformers.AutoModel.from_pretrained(folders[family])
    getattr(model, model.base_model_prefix).load_state_dict(base.state_dict())
    model.save_pretrained(tmp_path)
    tiny_extractor(config).save_pretrained(tmp_path)
    wavs = speechlike(1, 4000)
    expected = SSLBackbone(folders[family], 2)(wavs)
    assert torch.equal(SSLBackbone(str(tmp_path), 2)(wavs), expected)


def test_loading_is_quiet(folders, family, capfd):
    """Neither warnings about unused weights nor progress bars are printed."""
    SSLBackbone(folders[family], 1)
    assert capfd.readouterr() == ("", "")


# Errors ---------------------------------------------------------------------


def test_a_missing_folder_raises_a_one_line_error(tmp_path):
    missing = str(tmp_path / "missing")
    with pytest.raises(
        UserError, match="missing: cannot load a speech"
    ) as info:
        SSLBackbone(missing, 2)
    assert len(str(info.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["preprocessor_config", "config"])
def test_a_missing_config_is_named(tmp_path, name):
    folder = save_tiny_backbone(tmp_path, "hubert")
    (tmp_path / f"{name}.json").unlink()
    with pytest.raises(
        UserError, match=f"(?s)cannot load a speech encoder.*{name}.json"
    ):
        SSLBackbone(folder, 2)


def test_truncated_weights_raise_an_error(tmp_path):
    folder = save_tiny_backbone(tmp_path, "hubert")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match="cannot load a speech encoder"):
        SSLBackbone(folder, 2)


@pytest.mark.parametrize("family", ["hubert", "w2v_bert", "whisper"])
def test_missing_weights_raise_an_error_if_they_are_used(tmp_path, family):
    folder = save_tiny_backbone(tmp_path, family)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {k: v for k, v in weights.items() if "encoder.layers.1." not in k}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"tensors missing.*layers\.1\."):
        SSLBackbone(folder, 2)
    SSLBackbone(folder, 1)  # does not use the missing weights


def test_a_missing_final_norm_raises_an_error_if_it_is_used(tmp_path):
    """Only a backbone that includes the last layer needs the final norm."""
    folder = save_tiny_backbone(tmp_path, "hubert")
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer_norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="encoder.layer_norm.weight"):
        SSLBackbone(folder, LAYERS)
    SSLBackbone(folder, LAYERS - 1)


@pytest.mark.parametrize("layer", [0, 4, -1])
def test_a_layer_that_does_not_exist_is_rejected(folders, family, layer):
    with pytest.raises(UserError, match=f"layer {layer} .*layers 1 to 3"):
        SSLBackbone(folders[family], layer)


def test_an_unsupported_model_type_is_rejected(tmp_path):
    config = transformers.BertConfig()
    with pytest.raises(UserError, match="'bert'.*hubert, wav2vec2, wavlm"):
        SSLBackbone(config, 2)
    config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="'bert'.*hubert, wav2vec2, wavlm"):
        SSLBackbone(str(tmp_path), 2)


def test_remote_code_is_not_run(tmp_path):
    """A folder whose model type is defined by its own code is rejected."""
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text("raise SystemExit(9)")
    with pytest.raises(UserError, match="cannot load a speech encoder"):
        SSLBackbone(str(tmp_path), 2)


# YAML -----------------------------------------------------------------------


MAIN_YAML = """
ssl: !include:models/ssl/hubert_base.yaml
ssl_source: !ref <ssl[source]>
ssl_layer: !ref <ssl[layer]>
"""
BACKBONE_YAML = """
backbone: !new:miipher2.models.backbone.SSLBackbone
    source: !ref <ssl_source>
    layer: !ref <ssl_layer>
"""


def load_main(text, overrides, tmp_path):
    (tmp_path / "models").symlink_to(
        os.path.abspath(os.path.join(HPARAMS, "models"))
    )
    (tmp_path / "main.yaml").write_text(text)
    with open(tmp_path / "main.yaml") as file:
        return load_hyperpyyaml(file, overrides)


def backbone_yamls():
    paths = glob.glob(os.path.join(HPARAMS, "models", "ssl", "*.yaml"))
    return sorted(os.path.basename(path) for path in paths)


def test_every_backbone_has_a_yaml():
    assert backbone_yamls() == sorted(
        f"{name}.yaml"
        for name in (
            "hubert_base hubert_large hubert_tiny japanese_hubert_large"
            " mhubert_147 w2v_bert_2 wav2vec2_large wavlm_base_plus"
            " wavlm_large whisper_base whisper_large_v3 xls_r_300m"
        ).split()
    )


@pytest.mark.parametrize("name", backbone_yamls())
def test_each_yaml_sets_source_and_layer(name, tmp_path):
    override = f"ssl: !include:models/ssl/{name}"
    hparams = load_main(MAIN_YAML, override, tmp_path)
    assert set(hparams["ssl"]) == {"source", "layer"}
    assert hparams["ssl_source"] == hparams["ssl"]["source"]
    assert isinstance(hparams["ssl_layer"], int)


def test_the_tiny_backbone_is_built_from_its_yaml(tmp_path):
    override = "ssl: !include:models/ssl/hubert_tiny.yaml"
    hparams = load_main(MAIN_YAML + BACKBONE_YAML, override, tmp_path)
    backbone, config = hparams["backbone"], hparams["ssl"]["source"]
    assert backbone.layer == hparams["ssl"]["layer"] < config.num_hidden_layers
    features = backbone(speechlike(1, 3200))
    assert features.shape == (1, 10, config.hidden_size)


def test_source_and_layer_can_be_overridden(folders, tmp_path):
    override = f"ssl_source: {folders['wavlm']}\nssl_layer: 1"
    backbone = load_main(MAIN_YAML + BACKBONE_YAML, override, tmp_path)[
        "backbone"
    ]
    assert backbone.model_type == "wavlm" and backbone.layer == 1
