"""Experiments: overrides, errors in YAML files and exports.

Authors
 * The miipher2 authors 2026
"""

import pytest
from hyperpyyaml import load_hyperpyyaml

from miipher2.errors import UserError
from miipher2.training.experiment import (
    _restore_yaml,
    load_cleaner,
    load_hparams,
)


@pytest.fixture(params=["pa", "vocoder"])
def yaml(request):
    return str(request.config.rootpath / f"hparams/{request.param}.yaml")


def test_an_unknown_override_names_the_closest_key(yaml):
    with pytest.raises(UserError, match="did you mean --batch_size"):
        load_hparams(yaml, "batchsize: 3")


def test_a_missing_value_is_named(yaml):
    with pytest.raises(UserError, match="--data_folder: is required"):
        load_hparams(yaml, "")


def test_missing_files_are_named(yaml):
    with pytest.raises(UserError, match="nothing.yaml"):
        load_hparams("nothing.yaml")
    with pytest.raises(UserError, match="models/ssl/nothing.yaml"):
        load_hparams(
            yaml, "data_folder: x\nssl: !include:models/ssl/nothing.yaml"
        )


@pytest.mark.parametrize(
    "text,word",
    [
        ("a: !new:torch.nn.Linear\n  width: 3", "torch.nn.Linear.*width"),
        ("a: !new:torch.nn.Linnear", "torch.nn.Linnear"),
        ("a: !ref <b>", "b"),
        ("a: [1", "not a valid YAML file.*expected"),
    ],
)
def test_errors_in_a_yaml_are_one_line(tmp_path, text, word):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=word) as error:
        load_hparams(str(tmp_path / "a.yaml"))
    assert "\n" not in str(error.value)


def test_backbones_have_a_source_and_a_layer(request):
    files = sorted(request.config.rootpath.glob("hparams/models/ssl/*.yaml"))
    assert len(files) >= 12
    for path in files:
        loaded = load_hyperpyyaml(path.read_text())
        assert set(loaded) == {"source", "layer"}, path
        assert loaded["layer"] > 0


def test_a_folder_without_adapters_is_refused(tmp_path):
    with pytest.raises(UserError, match="stage 1"):
        load_cleaner(None, tmp_path)


def test_an_override_that_is_given_twice_is_refused(yaml):
    with pytest.raises(UserError, match="--lr: given twice"):
        load_hparams(yaml, "data_folder: x\nlr: 1\nlr: 2")


@pytest.mark.parametrize("name", ["vocoder.yaml", "compact/vocoder.yaml"])
def test_restore_yaml_is_found_from_every_experiment(request, name):
    hparams = request.config.rootpath / "hparams"
    assert _restore_yaml(hparams / name) == hparams / "models/restore.yaml"


def test_a_missing_restore_yaml_is_reported(tmp_path):
    with pytest.raises(UserError, match="models/restore.yaml"):
        _restore_yaml(tmp_path / "vocoder.yaml")
