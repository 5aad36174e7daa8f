"""Tests of miipher2.models.cleaner and miipher2.models.adapters.

Authors
 * The miipher2 authors 2026
"""

import functools

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import FAMILIES, save_tiny_backbone

from miipher2.errors import UserError
from miipher2.models.adapters import ParallelAdapter
from miipher2.models.backbone import SSLBackbone
from miipher2.models.cleaner import FeatureCleaner

ADAPTER = functools.partial(ParallelAdapter, bottleneck=8)


def cleaner_on(folder, layer=2, **options):
    return FeatureCleaner(
        SSLBackbone(folder, layer), **{"adapter": ADAPTER, **options}
    )


def randomise(cleaner):
    """Randomise the up-projections, which are initialised with zeros."""
    for name, parameter in cleaner.named_parameters():
        if "up_proj" in name:
            torch.nn.init.normal_(parameter)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    return save_tiny_backbone(
        tmp_path_factory.mktemp(request.param), request.param
    )


@pytest.mark.parametrize("placement", ["feed_forward", "layer"])
def test_training_starts_from_the_features_of_the_frozen_model(
    folder, placement
):
    wavs, lengths = torch.randn(2, 9000), torch.tensor([1.0, 0.7])
    frozen = SSLBackbone(folder, 2)(wavs, lengths)
    cleaner = cleaner_on(folder, placement=placement).eval()
    # The results are not bitwise equal, because adding zeros changes the memory
    # layout, and the kernels for the two layouts round differently.
    assert torch.allclose(cleaner(wavs, lengths), frozen, atol=2e-6)
    randomise(cleaner)
    assert not torch.allclose(cleaner(wavs, lengths), frozen, atol=1e-3)
    assert torch.equal(cleaner.target(wavs, lengths), frozen)


@pytest.mark.parametrize("placement", ["feed_forward", "layer"])
def test_every_layer_of_the_backbone_has_one_trainable_adapter(
    folder, placement
):
    cleaner = cleaner_on(folder, placement=placement)
    adapters = [m for m in cleaner.modules() if isinstance(m, ParallelAdapter)]
    assert len(adapters) == 2
    randomise(cleaner)
    cleaner.train()
    cleaner(torch.randn(1, 8000)).square().mean().backward()
    for name, parameter in cleaner.named_parameters():
        assert parameter.requires_grad == ("adapter_" in name), name
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_a_shared_pass_equals_separate_passes(tiny_backbone):
    cleaner = cleaner_on(tiny_backbone)
    randomise(cleaner)
    noisy, clean = torch.randn(2, 2, 7000)
    lengths = torch.tensor([0.5, 1.0])
    predicted, target = cleaner(noisy, lengths, clean)
    assert torch.allclose(predicted, cleaner(noisy, lengths), atol=1e-5)
    assert torch.allclose(target, cleaner.target(clean, lengths), atol=1e-5)
    assert predicted.requires_grad and not target.requires_grad


def test_a_checkpoint_contains_only_the_adapters(tiny_backbone, tmp_path):
    cleaner = cleaner_on(tiny_backbone)
    randomise(cleaner)
    cleaner.saver(tmp_path / "a.ckpt")
    # The file contains a header and two fp32 adapters (32 -> 8 -> 32, with
    # biases).
    expected = 2 * 4 * (2 * 32 * 8 + 32 + 8)
    assert expected < (tmp_path / "a.ckpt").stat().st_size < expected + 3000
    loaded = cleaner_on(tiny_backbone)
    loaded.loader(tmp_path / "a.ckpt")
    wavs = torch.randn(1, 5000)
    assert torch.equal(loaded(wavs), cleaner(wavs))
    assert not list(tmp_path.glob("*.partial"))


def test_a_frozen_cleaner_also_saves_its_adapters(tiny_backbone, tmp_path):
    cleaner = cleaner_on(tiny_backbone)
    cleaner.saver(tmp_path / "trainable.ckpt")
    cleaner.requires_grad_(False)
    cleaner.saver(tmp_path / "frozen.ckpt")
    files = [
        (tmp_path / n).read_bytes() for n in ("trainable.ckpt", "frozen.ckpt")
    ]
    assert files[0] == files[1]


def test_adapters_trained_with_other_settings_are_rejected(
    tiny_backbone, tmp_path
):
    path = tmp_path / "a.ckpt"
    cleaner_on(tiny_backbone).saver(path)
    other = save_tiny_backbone(tmp_path / "wavlm", "wavlm")
    for cleaner, word in (
        (cleaner_on(other), "model_type hubert"),
        (cleaner_on(tiny_backbone, layer=1), "layer 2"),
        (cleaner_on(tiny_backbone, placement="layer"), "placement"),
        (
            cleaner_on(
                tiny_backbone,
                adapter=functools.partial(ParallelAdapter, bottleneck=4),
            ),
            "adapter_down_proj",
        ),
    ):
        with pytest.raises(UserError, match=word) as error:
            cleaner.loader(path)
        assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_adapters_for_a_backbone_with_other_weights_are_rejected(
    tiny_backbone, tmp_path
):
    cleaner_on(tiny_backbone).saver(tmp_path / "a.ckpt")
    backbone = SSLBackbone(tiny_backbone, 2)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter += 0.1
    backbone.save(tmp_path / "other")
    with pytest.raises(UserError, match="fingerprint"):
        cleaner_on(str(tmp_path / "other")).loader(tmp_path / "a.ckpt")


def test_checkpoints_contain_no_local_path(tiny_backbone, tmp_path):
    cleaner = cleaner_on(tiny_backbone)
    cleaner.saver(tmp_path / "a.ckpt")
    assert b"source" in (tmp_path / "a.ckpt").read_bytes()
    assert str(tiny_backbone).encode() not in (tmp_path / "a.ckpt").read_bytes()
    cleaner.adapted_model.source = "facebook/hubert-base-ls960"
    assert cleaner.identity()["source"] == "facebook/hubert-base-ls960"


def test_missing_and_truncated_files_raise_errors(tiny_backbone, tmp_path):
    cleaner = cleaner_on(tiny_backbone)
    path = tmp_path / "a.ckpt"
    with pytest.raises(UserError, match="not found"):
        cleaner.loader(path)
    cleaner.saver(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        cleaner.loader(path)
    save_file({"a": torch.ones(1)}, path, {"identity": "not JSON"})
    with pytest.raises(UserError, match="'identity' is not JSON"):
        cleaner.loader(path)


def test_an_unknown_placement_is_rejected(tiny_backbone):
    with pytest.raises(UserError, match="expected 'feed_forward' or"):
        cleaner_on(tiny_backbone, placement="beside")


def test_whisper_is_trained_at_random_positions(tmp_path):
    folder = save_tiny_backbone(tmp_path, "whisper")
    cleaner = cleaner_on(folder)
    wavs = torch.rand(2, 16000)
    torch.manual_seed(0)
    predicted, target = cleaner.train()(wavs, clean=wavs)
    # The untrained adapters output zeros, so prediction and target are equal if
    # their positions are equal.
    torch.testing.assert_close(predicted, target)
    other, _ = cleaner(wavs, clean=wavs)
    assert not torch.allclose(predicted, other)
    torch.manual_seed(0)
    torch.testing.assert_close(cleaner(wavs), predicted)

    first = cleaner.eval()(wavs)
    torch.testing.assert_close(cleaner(wavs), first)
    torch.testing.assert_close(cleaner.adapted_model(wavs), first)


def test_first_and_last_position_occur_in_training(tmp_path):
    cleaner = cleaner_on(save_tiny_backbone(tmp_path, "whisper"))
    last = cleaner.adapted_model.max_frames - 50
    torch.manual_seed(0)
    starts = {cleaner._start(torch.rand(1, 16000)) for _ in range(20 * last)}
    assert min(starts) == 0 and max(starts) == last


def test_without_absolute_positions_train_mode_does_not_change_the_output(
    tmp_path,
):
    cleaner = cleaner_on(save_tiny_backbone(tmp_path, "hubert"))
    wavs = torch.rand(2, 16000)
    torch.testing.assert_close(cleaner.train()(wavs), cleaner.eval()(wavs))
