"""Tests of experiments: overrides, errors in YAML files and exports.

Authors
 * The miipher2 authors 2026
"""

import shlex
from types import SimpleNamespace

import pytest
import transformers
from hyperpyyaml import load_hyperpyyaml

from miipher2.errors import UserError
from miipher2.training.experiment import (
    _restore_yaml,
    export_cleaner,
    load_cleaner,
    load_hparams,
    stage_one_overrides,
)
from miipher2.training.overrides import (
    check_overrides,
    parse_overrides,
    read_yaml,
    resolved_yaml,
)
from miipher2.training.settings import run_settings


@pytest.fixture(params=["pa", "vocoder"])
def yaml(request):
    return str(request.config.rootpath / f"hparams/{request.param}.yaml")


def test_an_unknown_override_names_the_closest_key(yaml):
    with pytest.raises(UserError, match="did you mean --batch_size"):
        load_hparams(yaml, "batchsize: 3")


def test_the_error_for_a_missing_value_names_the_key(yaml):
    with pytest.raises(UserError, match="--data_folder is required"):
        load_hparams(yaml, "")


def test_the_errors_for_missing_files_name_them(yaml):
    with pytest.raises(UserError, match="nothing.yaml"):
        load_hparams("nothing.yaml")
    with pytest.raises(UserError, match="models/ssl/nothing.yaml"):
        load_hparams(
            yaml, "data_folder: x\nssl: !include:models/ssl/nothing.yaml"
        )


@pytest.mark.parametrize(
    "text, word",
    [
        ("a: !new:torch.nn.Linear\n  width: 3", "torch.nn.Linear.*width"),
        ("a: !new:torch.nn.Linnear", "torch.nn.Linnear"),
        ("a: !ref <b>", 'reference "b"'),
        ("a: [1", "not a valid YAML file.*expected"),
    ],
)
def test_errors_in_a_yaml_are_reported_in_one_line(tmp_path, text, word):
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


def test_a_folder_without_adapters_is_rejected(tmp_path):
    with pytest.raises(UserError, match="stage 1"):
        load_cleaner(SimpleNamespace(loader=None), tmp_path)


def test_an_override_that_is_given_twice_is_rejected(yaml):
    with pytest.raises(UserError, match="--lr: given twice"):
        load_hparams(yaml, "data_folder: x\nlr: 1\nlr: 2")


@pytest.mark.parametrize("name", ["vocoder.yaml", "compact/vocoder.yaml"])
def test_restore_yaml_is_found_from_the_same_folder_and_a_subfolder(
    request, name
):
    hparams = request.config.rootpath / "hparams"
    assert _restore_yaml(hparams / name) == hparams / "models/restore.yaml"


def test_a_missing_restore_yaml_is_reported(tmp_path):
    with pytest.raises(UserError, match="models/restore.yaml"):
        _restore_yaml(tmp_path / "vocoder.yaml")


@pytest.mark.parametrize(
    "override, words",
    [
        ("batch_size: ten", "--batch_size=ten: expected a whole number"),
        ("batch_size: 2.5", "--batch_size=2.5: expected a whole number"),
        ("warmup_steps: ten", "--warmup_steps=ten: expected a whole number"),
        ("lr: fast", "--lr=fast: expected a number"),
        ("lr: True", "--lr=True: expected a number"),
        ("skip_prep: 3", "--skip_prep=3: expected True or False"),
        ("tensorboard: True", "--tensorboard: use --logger=tensorboard"),
        (
            "degrade: {clean_shre: 0.1}",
            "--degrade.clean_shre: no such key.*--degrade.clean_share",
        ),
        (
            "input_level: {levl_db: 0.1}",
            "--input_level.levl_db: no such key.*--input_level.level_db",
        ),
        ("lr: {a: 1}", "--lr: expected one value"),
    ],
)
def test_the_error_for_an_invalid_override_names_the_key(yaml, override, words):
    with pytest.raises(UserError, match=words):
        check_overrides(yaml, parse_overrides(override))


def test_a_yaml_with_the_old_tensorboard_key_is_rejected(yaml, tmp_path):
    old = tmp_path / "old.yaml"
    text = open(yaml, encoding="utf-8").read()
    text = text.replace("logger: curves", "tensorboard: False")
    old.write_text(text, "utf-8")
    with pytest.raises(UserError, match="old.yaml: the 'tensorboard' key"):
        check_overrides(str(old), {})


def test_values_of_the_right_type_are_accepted(yaml):
    overrides = parse_overrides(
        "batch_size: 2\nlr: 1\nminutes: 0.5\nwarmup_steps: 3\n"
        "max_steps: !ref <seed>\ndegrade: {clean_share: 0.1}\n"
        "ssl: !include:models/ssl/wavlm_large.yaml\nnoise_csv: null"
    )
    check_overrides(yaml, overrides)


def test_help_lists_every_key_and_contains_comments(yaml, train_script, capsys):
    with pytest.raises(SystemExit):
        train_script.main([yaml, "--help"])
    lines = capsys.readouterr().out.splitlines()
    index = lines.index("--batch_size=16")
    assert lines[index + 1] == "    clips per batch and process"
    keys = list(read_yaml(yaml))
    for key in keys:
        if not key.startswith("__"):
            assert any(line.startswith(f"--{key}=") for line in lines), key


def test_settings_exclude_the_run_length_and_cover_included_files(yaml):
    settings = run_settings(
        yaml, parse_overrides("max_steps: 3\nnum_workers: 0")
    )
    assert settings == run_settings(yaml, {})
    for override in (
        "batch_size: 3",
        "seed: 2",
        "degrade: {clean_share: 0.1}",
        "ssl: !include:models/ssl/wavlm_large.yaml",
        "opt_class: !name:torch.optim.SGD",
        "valid_degrade: {clean_share: 0.1}",
    ):
        key = override.partition(":")[0]
        other = run_settings(yaml, parse_overrides(override))
        assert {k for k in settings if settings[k] != other[k]} == {key}


@pytest.fixture
def stage_one(tmp_path):
    """Return a stage 1 folder for WavLM Large whose weight file is empty."""
    folder = tmp_path / "pa/model"
    folder.mkdir(parents=True)
    (folder / "cleaner.safetensors").touch()
    (folder / "cleaner.yaml").write_text(
        'ssl_source: "microsoft/wavlm-large"\nssl_layer: 9\n'
        'adapter_placement: "layer"\nadapter_bottleneck: 64\n'
    )
    return tmp_path / "pa"


def test_stage_two_uses_the_backbone_and_adapter_settings_of_stage_one(
    request, stage_one
):
    yaml = str(request.config.rootpath / "hparams/vocoder.yaml")
    given = f"data_folder: x\ncleaner_folder: {stage_one}"
    inherited = stage_one_overrides(yaml, given)
    resolved = resolved_yaml(yaml, inherited)
    assert resolved["backbone"]["source"] == "microsoft/wavlm-large"
    assert resolved["backbone"]["layer"] == 9
    assert resolved["cleaner"]["placement"] == "layer"
    assert resolved["cleaner"]["adapter"]["bottleneck"] == 64
    same = f"{given}\nssl_layer: 9\nadapter_bottleneck: 64"
    resolved = resolved_yaml(yaml, stage_one_overrides(yaml, same))
    assert resolved["cleaner"]["placement"] == "layer"


@pytest.mark.parametrize(
    "override, words",
    [
        ("ssl_layer: 8", "--ssl_layer=8: .* trained with 9"),
        ("adapter_bottleneck: 1024", "--adapter_bottleneck=1024: .* with 64"),
        (
            "ssl: !include:models/ssl/hubert_large.yaml",
            "--ssl_source=facebook/hubert-large-ll60k: .*microsoft/wavlm-large",
        ),
    ],
)
def test_overrides_that_contradict_stage_one_are_rejected_before_loading(
    override, words, request, train_script, stage_one
):
    yaml = str(request.config.rootpath / "hparams/vocoder.yaml")
    key, _, value = override.partition(": ")
    options = ["--data_folder=x", f"--cleaner_folder={stage_one}"]
    with pytest.raises(UserError, match=words):
        train_script.main([yaml, *options, f"--{key}={value}"])


@pytest.mark.parametrize(
    "options, words",
    [
        (["--data_folder=x"], "^--data_folder=x: no such folder"),
        (["--data_folder={0}"], "noise.csv: no such manifest; give --noise_f"),
        (
            ["--data_folder={0}", "--noise_folder={0}/x"],
            "^--noise_folder=.*x: no such folder",
        ),
        (["--data_folder=x", "--skip_prep=True"], "noise.csv: no such manif"),
    ],
)
def test_missing_folders_and_manifests_are_reported_before_loading(
    options, words, request, train_script, tmp_path, monkeypatch
):
    def load(*arguments):
        raise AssertionError("the model was loaded before the check")

    monkeypatch.setattr(train_script, "load_hparams", load)
    yaml = str(request.config.rootpath / "hparams/pa.yaml")
    options = [option.format(tmp_path) for option in options]
    options += [f"--output_folder={tmp_path / 'out'}"]
    with pytest.raises(UserError, match=words):
        train_script.main([yaml, *options])
    assert not (tmp_path / "out").exists()


def test_an_unavailable_device_is_rejected(yaml, train_script):
    for device in ("cuda:99", "gpu"):
        with pytest.raises(UserError, match=f"--device {device}: not avail"):
            train_script.main([yaml, "--data_folder=x", f"--device={device}"])


def test_stage_two_requires_ssl_if_stage_one_used_a_backbone_from_a_config(
    request, tmp_path
):
    cleaner = SimpleNamespace(saver=lambda path: path.write_bytes(b""))
    hparams = {
        "cleaner": cleaner,
        "output_folder": str(tmp_path),
        "ssl_source": transformers.HubertConfig(),
        "ssl_layer": 3,
    }
    tiny = "!include:models/ssl/hubert_tiny.yaml"
    overrides = parse_overrides(f"ssl: {tiny}")
    line = export_cleaner(hparams, "hparams/pa.yaml", overrides)
    assert f"--ssl={tiny}" in shlex.split(line)
    text = (tmp_path / "model/cleaner.yaml").read_text("utf-8")
    assert "ssl_layer: 3" in text and "ssl_source" not in text
    yaml = str(request.config.rootpath / "hparams/vocoder.yaml")
    given = f"data_folder: x\ncleaner_folder: {tmp_path}"
    with pytest.raises(
        UserError, match="built from a config .*; give the same --ssl"
    ):
        stage_one_overrides(yaml, given)
    lines = stage_one_overrides(yaml, f"{given}\nssl: {tiny}")
    assert "ssl_source" not in lines
