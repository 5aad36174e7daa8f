"""Tests that a model folder cannot run arbitrary code.

Authors
 * The miipher2 authors 2026
"""

import os
import pickle
import pydoc
import shutil
import types

import pytest
import torch
from tiny_restorer import save_tiny_restorer

from miipher2.errors import UserError
from miipher2.inference import trust
from miipher2.inference.restorer import Restorer
from miipher2.inference.trust import check_yaml

CALL = "touch {canary}"
# YAML to reject: most entries run CALL when HyperPyYAML loads them; the others
# contain a forbidden tag, class or attribute
HOSTILE = {
    "apply": "x: !apply:os.system ['{call}']",
    "new": "x: !new:subprocess.Popen [['sh', '-c', '{call}']]",
    "name": "x: !name:os.system ['{call}']",
    "module": "x: !module:os",
    "applyref": "x: !applyref:os.system ['{call}']",
    "python tag": "x: !!python/object/apply:os.system ['{call}']",
    "verbatim tag": "x: !<tag:yaml.org,2002:python/object/apply:os.system> "
    "['{call}']",
    "tag handle": "%TAG !e! tag:yaml.org,2002:python/object/apply:\n---\n"
    "x: !e!os.system ['{call}']",
    "escaped tag": "x: !%61pply:os.system ['{call}']",
    "key": "? !apply:os.system ['{call}']\n: 1",
    "anchor": "x: &a [!apply:os.system ['{call}']]\ny: *a",
    "through a package": "x: !apply:torch.os.system ['{call}']",
    "through miipher2": "x: !apply:miipher2.inference.devices.os.system "
    "['{call}']",
    "a class through a package": "x: !new:torch.utils.data.dataloader."
    "multiprocessing.Process {{target: !name:os.system, args: ['{call}']}}",
    "torch function": "x: !apply:torch.hub.load ['{call}', 'm']",
    "torch.load": "x: !apply:torch.load ['{canary}.pt']",
    "speechbrain": "x: !new:speechbrain.utils.fetching.FetchFrom [1]",
    "partial": "x: !new:functools.partial [!name:os.system , '{call}']",
    "tuple": "x: (!!python/object/apply:os.system ['{call}'],)",
    "quoted tuple": "x: '(!!python/object/apply:os.system [\"{call}\"],)'",
    "tuple by tag": "x: !tuple 'x!!python/object/apply:os.system "
    '["{call}"]x\'',
    "assembled tuple": "a: '!!python/object/apply:os.system [\"{call}\"],'\n"
    "x: !ref (<a>)",
    "attribute": "a: !new:torch.nn.ReLU\nx: !ref <a.__init__.__globals__>",
    "include": "x: !include:other.yaml",
    "merge": "a: &a {{b: !apply:os.system ['{call}']}}\nx: {{<<: *a}}",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_restorer(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_yaml_is_rejected_and_runs_nothing(model, tmp_path, attack):
    canary = tmp_path / "canary"
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    path = folder / "hyperparams.yaml"
    call = CALL.format(canary=canary)
    hostile = HOSTILE[attack].format(call=call, canary=canary)
    (folder / "other.yaml").write_text(f"y: !apply:os.system ['{call}']")
    directive, mark, rest = hostile.rpartition("---\n")
    path.write_text(directive + mark + path.read_text("utf-8") + "\n" + rest)
    with pytest.raises(UserError, match="--trust-model|not a valid YAML"):
        Restorer.from_hparams(folder, run_opts={"device": "cpu"})
    assert not canary.exists()


def test_a_trusted_model_may_run_code(model, tmp_path):
    """Hostile YAML runs its call if the model is trusted."""
    folder, canary = tmp_path / "model", tmp_path / "canary"
    shutil.copytree(model, folder)
    path, text = folder / "hyperparams.yaml", None
    text = path.read_text("utf-8")
    for attack in ("apply", "python tag", "tuple", "applyref"):
        hostile = HOSTILE[attack].format(call=CALL.format(canary=canary))
        path.write_text(text + "\n" + hostile)
        try:
            Restorer.from_hparams(
                folder, trust_model=True, run_opts={"device": "cpu"}
            )
        except Exception as error:  # after the call
            print(attack, error)
        assert canary.exists(), attack
        canary.unlink()


class Evil:
    """An object that runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize(
    "name",
    [
        "vocoder.safetensors",
        "cleaner.safetensors",
        "backbone/model.safetensors",
        "backbone/pytorch_model.bin",
        "other.pt",
    ],
)
def test_a_hostile_pickle_is_not_loaded(model, tmp_path, name):
    folder, canary = tmp_path / "model", tmp_path / "canary"
    shutil.copytree(model, folder)
    evil = Evil(CALL.format(canary=canary))
    if name.endswith("bin"):
        (folder / "backbone/model.safetensors").unlink()
    if name == "other.pt":  # the Pretrainer would pass it to torch.load
        path = folder / "hyperparams.yaml"
        text = path.read_text("utf-8")
        text = text.replace(
            "    loadables:\n",
            "    loadables:\n        x: !new:torch.nn.ReLU\n",
        ).replace(
            "    paths:\n",
            "    paths:\n        x: !ref <model_folder>/other.pt\n",
        )
        path.write_text(text)
    torch.save({"x": evil}, folder / name)
    with pytest.raises(UserError):
        Restorer.from_hparams(folder, run_opts={"device": "cpu"})
    assert not canary.exists()
    (folder / name).write_bytes(pickle.dumps(evil))
    with pytest.raises(UserError):
        Restorer.from_hparams(folder, run_opts={"device": "cpu"})
    assert not canary.exists()


def test_code_in_the_folder_of_a_backbone_is_not_run(model, tmp_path):
    folder, canary = tmp_path / "model", tmp_path / "canary"
    shutil.copytree(model, folder)
    config = folder / "backbone/config.json"
    text = config.read_text().replace(
        "{",
        '{"auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.C"},',
        1,
    )
    config.write_text(text)
    (folder / "backbone/evil.py").write_text(f"open({str(canary)!r}, 'w')")
    Restorer.from_hparams(folder, run_opts={"device": "cpu"})
    assert not canary.exists()


def test_modules_and_configs_are_allowed(model, tmp_path):
    check_yaml(model / "hyperparams.yaml", {"model_folder": str(model)})
    path = tmp_path / "hyperparams.yaml"
    path.write_text(
        "a: !new:torch.nn.ReLU\n"
        "b: !name:miipher2.models.vocoders.istft.ISTFTVocoder\n"
        "c: !new:speechbrain.nnet.CNN.Conv1d {out_channels: 2}\n"
        "d: !new:transformers.HubertConfig {hidden_size: 32}\n"
        "e: !new:torchaudio.transforms.Resample [8000, 16000]\n"
        "f: !new:speechbrain.utils.parameter_transfer.Pretrainer\n"
        "g: !tuple (1, 2)\nh: (1, 2)\ni: !ref <g>\nj: !ref <k> * 0.5\nk: 1.0\n"
    )
    check_yaml(path)


def test_keyboard_interrupt_is_raised(model, monkeypatch):
    def interrupted(name):
        raise pydoc.ErrorDuringImport(
            name, (KeyboardInterrupt, KeyboardInterrupt(), None)
        )

    monkeypatch.setattr(pydoc, "locate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_yaml(model / "hyperparams.yaml", {"model_folder": str(model)})


def test_an_import_error_is_reported_with_advice(model, monkeypatch):
    def broken(name):
        error = ValueError("no docstring\nof a class")
        raise pydoc.ErrorDuringImport("a.py", (ValueError, error, None))

    optimized = types.SimpleNamespace(flags=types.SimpleNamespace(optimize=2))
    monkeypatch.setattr(pydoc, "locate", broken)
    monkeypatch.setattr(trust, "sys", optimized)
    reason = "cannot be imported: no docstring; .* use PYTHONOPTIMIZE=1"
    with pytest.raises(UserError, match=reason):
        check_yaml(model / "hyperparams.yaml")


def test_invalid_yaml_gives_a_one_line_error(tmp_path):
    path = tmp_path / "hyperparams.yaml"
    for text in ("a: [1,", "a: !ref <b>", "a: !PLACEHOLDER", "a: \x00"):
        path.write_text(text)
        with pytest.raises(UserError) as error:
            check_yaml(path)
        assert "\n" not in str(error.value)
