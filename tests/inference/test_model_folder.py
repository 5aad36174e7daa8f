"""Tests of model folders: location, and old names in a model's YAML.

Authors
 * The miipher2 authors 2026
"""

import logging
import pydoc
import shutil

import pytest
import soundfile
from tiny_restorer import voice

from miipher2.errors import UserError
from miipher2.inference import hub
from miipher2.inference.model_folder import (
    OLD_CLASSES,
    find_model,
    update_names,
)
from miipher2.inference.restorer import Restorer

# A hyperparams.yaml of the compact model with old class and argument names, and
# without the speech detector
OLD_YAML = """
model_folder: !PLACEHOLDER

backbone: &id001 !new:miipher2.ssl.SSLBackbone
  source: !ref <model_folder>/backbone
  layer: 5

cleaner: !new:miipher2.cleaner.FeatureCleaner
  backbone: *id001
  placement: feed_forward
  adapter: !name:miipher2.adapters.ParallelAdapter
    bottleneck: 1024
    activation: !name:torch.nn.ReLU
    scale: 1.0

generator: !apply:miipher2.vocoders.build_vocoder
  vocoder: !name:miipher2.vocoders.harmonic.HarmonicVocoder
    sample_rate: 16000
    hop_length: 320
    subframes: 2
    n_fft: 640
    channels: 384
    intermediate: 1152
    layers: 6
    kernel_size: 7
    keep: True
  backbone: *id001
  sample_rate: 16000

window_seconds: 20.0
overlap_seconds: 2.0

modules:
    cleaner: !ref <cleaner>
    generator: !ref <generator>

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        cleaner: !ref <cleaner>
        generator: !ref <generator>
    paths:
        cleaner: !ref <model_folder>/cleaner.safetensors
        generator: !ref <model_folder>/vocoder.safetensors
"""


def test_a_model_folder_with_old_names_gives_the_same_output(tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(find_model("compact"), folder)
    (folder / "hyperparams.yaml").write_text(OLD_YAML, "utf-8")
    soundfile.write(tmp_path / "in.wav", voice(2.0), 16000)
    outputs = []
    for source in (folder, "compact"):
        restorer = Restorer.from_hparams(source, run_opts={"device": "cpu"})
        output = tmp_path / "out.wav"
        restorer.restore_file(tmp_path / "in.wav", output)
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]
    text = (folder / "hyperparams.yaml").read_text("utf-8")
    assert text == OLD_YAML  # the folder is not modified


def test_old_names_map_to_classes_that_exist():
    for new in OLD_CLASSES.values():
        assert pydoc.locate(new) is not None


def test_old_arguments_are_renamed_at_the_start_of_a_line():
    old = "a: !name:miipher2.vocoders.harmonic.HarmonicVocoder\n  {}: 1\n"
    new = update_names(old.format("hint_width")).splitlines()
    assert new == [
        "a: !name:miipher2.models.vocoders.harmonic.HarmonicVocoder",
        "  level_width: 1",
    ]


def test_current_names_are_not_changed():
    """Argument names change only in a YAML with old class names."""
    text = "a: !new:miipher2.models.backbone.SSLBackbone\n  keep: True\n"
    assert update_names(text) == text


def test_a_model_is_found_in_the_output_folder_of_training(tmp_path):
    for name in ("hyperparams.yaml", "env.log"):
        (tmp_path / name).write_text("# training")
    with pytest.raises(UserError, match="the model once training has finished"):
        find_model(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "hyperparams.yaml").write_text("# model")
    assert find_model(tmp_path) == tmp_path / "model"
    assert find_model(tmp_path / "model") == tmp_path / "model"


def test_an_unknown_name_is_looked_up_on_the_hub(monkeypatch, caplog):
    def no_hub(name, revision):
        raise OSError("Name or service not known")

    monkeypatch.setattr(hub, "snapshot_download", no_hub)
    with (
        caplog.at_level(logging.INFO, "miipher2.inference"),
        pytest.raises(UserError, match="results/1: neither .* not known"),
    ):
        find_model("results/1")
    assert "no such folder; looking for it on the hub" in caplog.text
