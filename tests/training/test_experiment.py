"""YAML files, overrides, and what training hands on.

Authors
 * The miipher2 authors 2026
"""

import pytest
from hyperpyyaml import load_hyperpyyaml

from miipher2.errors import UserError
from miipher2.training.experiment import load_cleaner, load_hparams


@pytest.fixture(params=["pa", "vocoder"])
def yaml(request):
    return str(request.config.rootpath / f"hparams/{request.param}.yaml")


def test_unknown_override_names_the_nearest_key(yaml):
    with pytest.raises(UserError, match="did you mean --batch_size"):
        load_hparams(yaml, "batchsize: 3")


def test_what_has_to_be_given_is_named(yaml):
    with pytest.raises(UserError, match="--data_folder: has to be given"):
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
        ("a: [1", "expected"),
    ],
)
def test_a_wrong_yaml_is_one_line(tmp_path, text, word):
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


def test_settings_kept_in_a_file(train_script, tmp_path):
    kept = tmp_path / "small.args"
    kept.write_text(
        "# a comment\n--batch_size=2\n--lr=0.1\n\n--config={a: 1}\n"
    )
    given = ["a.yaml", f"@{kept}", "--seed", "2", "--lr=0.2", "--n", "2"]
    arguments = train_script.last_wins(train_script.from_files(given))
    assert arguments == [
        "a.yaml",
        "--batch_size=2",
        "--config={a: 1}",
        "--seed",
        "2",
        "--lr=0.2",
        "--n",
        "2",
    ]
    with pytest.raises(UserError, match="@nowhere: no such file"):
        list(train_script.from_files(["@nowhere"]))
