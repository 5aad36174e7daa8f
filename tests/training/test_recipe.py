"""Tests of ``miipher2 train`` and of the wheel.

Authors
 * The miipher2 authors 2026
"""

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from tiny_runs import ROOT, arguments

from miipher2.cli import main
from miipher2.errors import UserError
from miipher2.training.recipe import (
    experiment_names,
    find_experiment,
    train_command,
)


def test_included_files_are_not_experiments():
    assert {"pa", "ssl", "vocoder", "compact/pa"} <= set(experiment_names())
    assert not [name for name in experiment_names() if "models" in name]
    assert find_experiment("pa") == ROOT / "hparams/pa.yaml"


def test_a_yaml_file_is_an_experiment(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("seed: 1")
    assert find_experiment(str(path)) == path


@pytest.mark.parametrize("name", ["vocode", "no/pa.yaml", "hparams"])
def test_the_error_for_an_unknown_name_lists_the_names(name, capsys):
    with pytest.raises(UserError, match=r"one of compact/pa, .* pa, .*vocoder"):
        find_experiment(name)
    with pytest.raises(SystemExit) as exit_:
        main(["train", name])
    assert exit_.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: {name}: ") and "\n" not in error


def test_help_lists_keys_and_run_options(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["train", "pa", "--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert "--max_steps=800000" in shown and "--debug_batches" in shown


def test_train_command_uses_the_running_program(monkeypatch):
    path = ROOT / "hparams/compact/pa.yaml"
    monkeypatch.setattr(sys, "argv", ["/bin/miipher2", "train"])
    assert train_command(path) == ["miipher2", "train", "compact/pa"]
    assert train_command("own.yaml") == ["miipher2", "train", "own.yaml"]
    monkeypatch.setattr(sys, "argv", ["../train.py"])
    assert train_command("own.yaml") == ["python", "../train.py", "own.yaml"]


def test_the_command_runs_the_training_script(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["train", "pa", f"--output_folder={tmp_path / 'out'}"])
    assert exit_.value.code == 2
    assert "--data_folder is required" in capsys.readouterr().err
    assert Path(sys.modules["train"].__file__).samefile(ROOT / "train.py")


# Files and folders from which the wheel is built
SOURCES = (
    *("setup.py", "pyproject.toml", "README.md", "LICENSE"),
    *("train.py", "hparams", "recipes", "miipher2"),
)


@pytest.fixture
def installed(tmp_path):
    """Return a function that runs a command in an environment with the wheel.

    The environment has the packages of the current environment, but not this
    repository.
    """
    pytest.importorskip("build", reason="build is not installed")
    pytest.importorskip("setuptools", "77")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    } | {"HF_HUB_OFFLINE": "1"}
    source = tmp_path / "source"
    source.mkdir()
    for name in SOURCES:
        path = ROOT / name
        if path.is_file():
            shutil.copy(path, source)
        else:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, source / name, True, ignored)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.check_call([*build, source, "--outdir", tmp_path])
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    subprocess.check_call(
        [*(sys.executable, "-m", "pip", "--python", scripts / "python")]
        + ["install", "--quiet", "--no-deps", "--no-index", wheel],
        env=environment,
    )
    (packages,) = (tmp_path / "venv").rglob("site-packages")
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()))
    work = tmp_path / "work"
    work.mkdir()

    def run(*command):
        return subprocess.check_output(
            [scripts / command[0], *command[1:]],
            cwd=work,
            env=environment,
            text=True,
        )

    return run


@pytest.mark.slow
def test_the_wheel_restores_and_trains(installed, corpus, tmp_path):
    code = "import miipher2; print(miipher2.__file__)"
    package = Path(installed("python", "-c", code).strip()).parent
    assert package.is_relative_to(tmp_path / "venv")
    files = {p.relative_to(package) for p in (package / "recipe").rglob("*.*")}
    assert Path("recipe/train.py") in files
    assert Path("recipe/hparams/models/restore.yaml") in files
    assert Path("recipe/setup.py") not in files

    source = ROOT / "examples/noisy/valid_001.flac"
    installed("miipher2", "restore", source, "a.wav", "--device=cpu")
    assert (tmp_path / "work/a.wav").exists()

    tiny = "!include:models/ssl/hubert_tiny.yaml"
    (_, *options) = arguments("pa", corpus, "out", ssl=tiny)
    shown = installed("miipher2", "train", "pa", *options)
    assert "Train the vocoder with: miipher2 train vocoder --" in shown
