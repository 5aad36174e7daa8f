"""What SpeechBrain's own checks ask of an experiment's YAML.

Authors
 * The miipher2 authors 2026
"""

import re

import pytest
from tiny_runs import ROOT

YAMLS = sorted((ROOT / "hparams").glob("*.yaml"))
RUN_OPTIONS = {
    "ckpt_interval_minutes",
    "grad_accumulation_factor",
    "max_grad_norm",
}


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.name)
def test_every_top_level_key_has_a_user(path):
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


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.name)
def test_only_what_has_to_be_given_is_a_placeholder(path):
    placeholders = re.findall(r"^(\w+): !PLACEHOLDER", path.read_text(), re.M)
    assert set(placeholders) <= {"data_folder"}


def test_recipe_folders_show_the_same_files():
    recipe = ROOT / "recipes/LibriTTS/restoration/miipher2"
    assert (recipe / "train.py").samefile(ROOT / "train.py")
    assert (recipe / "hparams").samefile(ROOT / "hparams")
    script = recipe / "libritts_prepare.py"
    assert script.samefile(ROOT / "recipes/LibriTTS/libritts_prepare.py")
