"""Tests that all experiments follow SpeechBrain's rules for recipes.

Authors
 * The miipher2 authors 2026
"""

import re

import pytest
from tiny_runs import ROOT

HPARAMS = ROOT / "hparams"
FOLDERS = (".", "compact", "whisper24")
YAMLS = sorted(p for f in FOLDERS for p in HPARAMS.glob(f"{f}/*.yaml"))
# Keys that SpeechBrain reads as run options
RUN_OPTIONS = {
    "ckpt_interval_minutes",
    "eval_precision",
    "grad_accumulation_factor",
    "max_grad_norm",
    "precision",
}


def name(path):
    return path.relative_to(HPARAMS).as_posix()


@pytest.mark.parametrize("path", YAMLS, ids=name)
def test_every_top_level_key_is_used(path):
    text = path.read_text("utf-8")
    script = (ROOT / "train.py").read_text("utf-8")
    keys = re.findall(r"^(\w+):(?! !apply:)", text, re.MULTILINE)
    assert len(keys) == len(set(keys)) > 20
    unused = [
        key
        for key in keys
        if key not in RUN_OPTIONS
        and not re.search(rf"<{key}[\[\].>]", text)
        and f'["{key}"]' not in script
    ]
    assert unused == []


@pytest.mark.parametrize("path", YAMLS, ids=name)
def test_data_folder_is_the_only_placeholder(path):
    placeholders = re.findall(r"^(\w+): !PLACEHOLDER", path.read_text(), re.M)
    assert set(placeholders) <= {"data_folder"}


@pytest.mark.parametrize("path", YAMLS, ids=name)
def test_every_top_level_key_has_a_comment(path):
    """The comment is on the line of the key, or above it in its paragraph."""
    uncommented = [
        key
        for paragraph in path.read_text("utf-8").split("\n\n")
        for key in re.findall(r"^(?!__)\w+(?=:)", paragraph, re.MULTILINE)
        if "#" not in re.split(rf"^{key}:.*$", paragraph, flags=re.M)[0]
        and not re.search(rf"^{key}:.*#", paragraph, re.MULTILINE)
    ]
    assert uncommented == []


def settings(path):
    """Return the lines of a YAML file without comments."""
    lines = path.read_text("utf-8").splitlines()
    lines = [line.partition("#")[0].rstrip() for line in lines]
    return [line for line in lines if line]


def test_the_packaged_degradation_chain_has_the_settings_of_the_recipe():
    packaged = ROOT / "miipher2/degrade/degrade.yaml"
    recipe = HPARAMS / "models/degrade.yaml"
    assert settings(packaged) == settings(recipe)


def test_hparams_contains_no_symbolic_links():
    assert not [path for path in HPARAMS.rglob("*") if path.is_symlink()]


def test_the_libritts_recipe_links_to_the_files_of_the_repository():
    recipe = ROOT / "recipes/LibriTTS/restoration/miipher2"
    assert (recipe / "train.py").samefile(ROOT / "train.py")
    assert (recipe / "hparams").samefile(ROOT / "hparams")
    script = recipe / "libritts_prepare.py"
    assert script.samefile(ROOT / "recipes/LibriTTS/libritts_prepare.py")
