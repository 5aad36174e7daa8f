"""Tests of stage 0: targets, masks, padding, resuming and export.

Authors
 * The miipher2 authors 2026
"""

import math
import re

import pytest
import torch
import transformers
from tiny_runs import arguments

from miipher2.degrade import generator
from miipher2.errors import UserError
from miipher2.models.backbone import SSLBackbone
from miipher2.models.pretraining import MaskedPrediction, draw_mask
from miipher2.models.pretraining_targets import (
    RandomTargets,
    SpectralTargets,
    nearest_code,
)
from miipher2.models.weights import load_weights

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": [16, 16, 32],
    "conv_kernel": [40, 8, 8],
    "conv_stride": [20, 4, 4],
    "num_feat_extract_layers": 3,
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_prob": 0.65,
}


def tiny(targets=None, filterbank=False, **config):
    """Return a tiny model; equal arguments give equal weights."""
    torch.manual_seed(0)
    targets = targets or RandomTargets(codebooks=2, codes=32, code_dim=8)
    config = transformers.HubertConfig(**{**TINY, **config})
    return MaskedPrediction(config, targets, filterbank)


@pytest.fixture
def pretrain(train_script, corpus, tmp_path, capsys):
    """Return a function that runs stage 0 with a tiny model.

    The function returns the output folder and the last printed line.
    """
    config = "!new:transformers.HubertConfig {"
    config += ", ".join(f"{key}: {value}" for key, value in TINY.items()) + "}"

    def run(name, **overrides):
        overrides = {"config": config, "warmup_steps": 0, **overrides}
        options = arguments("ssl", corpus, tmp_path / name, **overrides)
        train_script.main(
            [o for o in options if not o.startswith("--adapter_bottleneck")]
        )
        return tmp_path / name, capsys.readouterr().out.splitlines()[-1]

    return run


@pytest.mark.parametrize("samples", [1, 320, 321, 8000, 16001])
def test_targets_and_backbone_have_equal_numbers_of_frames(samples):
    model = tiny()
    wav = torch.randn(samples)
    assert (
        len(model.targets(wav)) == model.frames(samples) == -(-samples // 320)
    )


def test_a_target_frame_is_centred_on_its_samples():
    targets = RandomTargets(codebooks=8, codes=64)
    wav = 0.01 * torch.randn(10 * 320)
    mel = targets.mel.prepare(wav[None])[0]
    wav[5 * 320 + 130 : 5 * 320 + 190] = 1.0  # the middle of frame 5
    changed = (targets.mel.prepare(wav[None])[0] - mel).abs().mean(dim=1)
    assert changed.argmax() == 5
    assert abs(changed[4] - changed[6]) < 0.2 * changed[5]


def test_targets_do_not_depend_on_level_or_precision():
    model = tiny()
    wav = torch.randn(16000) * torch.linspace(0, 0.1, 16000)
    codes = model.targets(wav)
    assert (model.targets(4 * wav) == codes).float().mean() > 0.99
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.targets(wav), codes)
    assert len(codes.unique()) > 8
    assert not torch.equal(codes[:, 0], codes[:, 1])


def test_nearest_code_matches_the_speechbrain_quantizer():
    frames = torch.randn(200, 160)
    for quantizer in RandomTargets(codebooks=2, codes=64).quantizers:
        expected = quantizer(frames[None])[0]
        assert torch.equal(nearest_code(frames, quantizer), expected)


@pytest.mark.parametrize("frames", [1, 9, 10, 11, 160])
def test_masks_consist_of_complete_spans(frames):
    for key in range(20):
        mask = draw_mask(frames, 0.65, 10, generator(key))
        assert len(mask) == frames
        runs = re.findall("1+", "".join(str(int(m)) for m in mask))
        assert runs and all(len(r) >= min(10, frames) for r in runs)


def test_masks_cover_about_half_of_a_clip_and_depend_on_the_key():
    masks = [draw_mask(160, 0.65, 10, generator(key)) for key in range(50)]
    fraction = torch.stack(masks).float().mean()
    assert 0.4 < fraction < 0.6
    assert torch.equal(masks[3], draw_mask(160, 0.65, 10, generator(3)))
    assert not torch.equal(masks[3], masks[4])


def test_padding_changes_neither_outputs_nor_targets():
    model = tiny().eval()
    long, short = torch.randn(16000), 0.1 * torch.randn(7000)
    masks = torch.zeros(2, 50, dtype=torch.bool)
    masks[:, 5:15] = True
    padded = torch.nn.functional.pad(short, (0, 9000), value=0.7)
    lengths = torch.tensor([1.0, 7000 / 16000])
    wavs = torch.stack([long, padded])
    outputs, codes = model(wavs, wavs, lengths, masks)
    alone, codes_alone = model(
        short[None], short[None], torch.ones(1), masks[1:, :22]
    )
    assert torch.allclose(outputs[1, :22], alone[0], atol=1e-4)
    assert torch.equal(codes[1, :22], codes_alone[0])


def test_masked_samples_have_no_influence():
    model = tiny().eval()
    wav = torch.randn(1, 16000)
    other = wav.clone()
    # These samples are only in the receptive fields of frames 10 to 19.
    other[:, 11 * 320 : 19 * 320] = wav[:, 11 * 320 : 19 * 320].flip(1)
    masks = torch.zeros(1, 50, dtype=torch.bool)
    masks[:, 10:20] = True
    full = torch.ones(1)
    hidden = model.features(wav, full, masks)
    assert torch.allclose(model.features(other, full, masks), hidden, atol=1e-4)
    visible = torch.zeros_like(masks)
    difference = model.features(other, full, visible) - model.features(
        wav, full, visible
    )
    assert difference.abs().max() > 0.01


@pytest.mark.parametrize("targets", [None, SpectralTargets()])
@pytest.mark.parametrize("filterbank", [False, True])
def test_every_weight_has_a_gradient(targets, filterbank):
    model = tiny(targets, filterbank)
    wavs = torch.randn(2, 8000)
    masks = torch.arange(25).expand(2, 25) < 10
    outputs, frames = model(wavs, wavs, torch.tensor([1.0, 0.8]), masks)
    model.targets.compare(outputs, frames)["loss"].mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    assert not any(
        name.startswith("targets") for name, _ in model.named_parameters()
    )


@pytest.mark.parametrize("samples", [1, 320, 321, 16001])
def test_spectral_targets_have_the_expected_shape(samples):
    frames = SpectralTargets()(torch.randn(samples))
    assert frames.shape == (-(-samples // 320), 241)


def test_spectral_targets_represent_time_level_and_pitch():
    targets = SpectralTargets()
    wav = 0.01 * torch.randn(10 * 320)
    before = targets(wav)[:, :160]
    click = wav.clone()
    click[5 * 320 + 130 : 5 * 320 + 190] = 1.0  # the middle of frame 5
    changed = (targets(click)[:, :160] - before).abs().mean(dim=1)
    assert changed.argmax() == 5
    louder = (targets(4 * wav) - targets(wav))[:, :160]
    assert 4 * louder.mean() == pytest.approx(math.log(4), rel=0.25)
    time = torch.arange(16000) / 16000
    comb = sum(torch.cos(2 * torch.pi * 125 * k * time) for k in range(1, 10))
    harmonics = targets(0.05 * comb)[10, 160:]  # 15.6 Hz per bin
    peaks = harmonics[8:80:8]
    assert peaks.min() > harmonics[4:76:8].max()


def test_group_norm_and_mismatched_hop_lengths_are_rejected():
    with pytest.raises(UserError, match="'group'"):
        tiny(feat_extract_norm="group")
    with pytest.raises(UserError, match="frames of 160 samples"):
        tiny(conv_stride=[10, 4, 4])


def logged(folder, name):
    """Return the values of a logged statistic, one per validation."""
    text = (folder / "train_log.txt").read_text()
    return [float(x) for x in re.findall(rf"{name}: ([\d.e+-]+)", text)]


def test_stage_0_learns_and_exports_a_backbone(pretrain):
    folder, last_line = pretrain(
        "run",
        max_steps=60,
        valid_interval=20,
        lr=0.01,
        batch_size=4,
        valid_clips=4,
    )
    loss = logged(folder, "valid loss")
    assert len(loss) == 3 and loss[2] < loss[1] < loss[0]
    assert loss[-1] < 0.65 * math.log(1024)
    assert logged(folder, "valid accuracy")[-1] > 0.02
    assert logged(folder, "valid visible")[-1] < loss[0]
    model = folder / "model"
    assert {p.name for p in model.iterdir()} == {
        "config.json",
        "head.safetensors",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert f"train pa --ssl_source={model} --ssl_layer=2" in last_line

    # SSLBackbone returns the same features, with and without padding.
    (save,) = (folder / "save").glob("CKPT+*")
    best = tiny().eval()
    wavs, lengths = torch.randn(2, 9000) + 0.5, torch.tensor([1.0, 0.7])
    none = torch.zeros(2, 29, dtype=torch.bool)
    tensors, _ = load_weights(save / "pretraining.ckpt")
    own = {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}
    best.model.load_state_dict(own)
    backbone = SSLBackbone(model, layer=2)
    with torch.no_grad():
        expected = best.features(wavs, lengths, none)
        features = backbone(wavs, lengths)
    valid = -(-6300 // 320)
    assert torch.allclose(features[0], expected[0], atol=1e-4)
    assert torch.allclose(features[1, :valid], expected[1, :valid], atol=1e-4)


def test_adapters_are_trained_on_an_exported_backbone(
    pretrain, train, tmp_path
):
    folder, _ = pretrain("run")
    train("pa", tmp_path / "pa", ssl_source=folder / "model", ssl_layer=1)
    assert (tmp_path / "pa/model/cleaner.safetensors").exists()


def test_a_resumed_run_equals_an_uninterrupted_one(pretrain):
    options = {"valid_interval": 3, "lr": 0.01}
    complete, _ = pretrain("complete", max_steps=6, **options)
    resumed, _ = pretrain("resumed", max_steps=3, **options)
    assert len(logged(resumed, "valid loss")) == 1
    pretrain("resumed", max_steps=6, **options)
    assert logged(resumed, "valid loss") == logged(complete, "valid loss")
    expected, tensors = (
        load_weights(folder / "model/model.safetensors")[0]
        for folder in (complete, resumed)
    )
    assert all(torch.equal(expected[name], tensors[name]) for name in expected)


def test_the_convolutions_are_trained_first_and_then_frozen(pretrain):
    def weights(folder):
        latest = sorted((folder / "save").glob("CKPT+*"))[-1]
        tensors, _ = load_weights(latest / "pretraining.ckpt")
        return tensors

    options = {"front_end_steps": 4, "valid_interval": 2, "batch_size": 2}
    folder, _ = pretrain("run", max_steps=2, **options)
    start = weights(folder)
    folder, _ = pretrain("run", max_steps=4, **options)
    alone = weights(folder)
    folder, _ = pretrain("run", max_steps=6, **options)
    after = weights(folder)

    def changed(old, new):
        return {name for name in old if not torch.equal(old[name], new[name])}

    convolutions = ("model.feature_extractor.", "model.feature_projection.")
    assert all(
        name.startswith((*convolutions, "model.encoder.layer_norm.", "head."))
        for name in changed(start, alone)
    )
    assert "model.feature_extractor.conv_layers.0.conv.weight" in changed(
        start, alone
    )
    assert not any(
        name.startswith(convolutions) for name in changed(alone, after)
    )
    assert "model.encoder.layers.0.feed_forward.output_dense.weight" in changed(
        alone, after
    )
    rates = [
        float(rate)
        for rate in re.findall(
            r"lr: ([\d.e+-]+)", (folder / "train_log.txt").read_text()
        )
    ]
    assert rates[1] < rates[0]


def test_the_time_limit_excludes_the_training_of_the_convolutions(pretrain):
    folder, _ = pretrain(
        "run", front_end_steps=3, max_steps=1000, minutes=1e-9, valid_interval=9
    )
    assert "step: 4" in (folder / "train_log.txt").read_text()


def test_start_from_loads_an_exported_or_saved_backbone(tmp_path):
    model = tiny().eval()
    model.export(tmp_path / "own")
    SSLBackbone(tmp_path / "own", layer=2).save(tmp_path / "restoring")
    wavs, full = torch.randn(1, 9000), torch.ones(1)
    none = torch.zeros(1, 29, dtype=torch.bool)
    for folder in ("own", "restoring"):
        torch.manual_seed(1)
        again = MaskedPrediction(model.config, model.targets).eval()
        again.start_from(tmp_path / folder)
        with torch.no_grad():
            features = again.features(wavs, full, none)
            assert torch.allclose(features, model.features(wavs, full, none))
        same_head = torch.equal(again.head.weight, model.head.weight)
        assert same_head == (folder == "own")
    other = MaskedPrediction(model.config, SpectralTargets())
    other.start_from(tmp_path / "own")  # The head for other targets is ignored.
    with pytest.raises(UserError, match="no backbone of an earlier stage 0"):
        model.start_from(tmp_path)
