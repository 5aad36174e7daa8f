"""Tests of docs/keys.md and of the comments on YAML keys.

Authors
 * The miipher2 authors 2026
"""

import runpy

import pytest
from tiny_runs import ROOT

from miipher2.training.yaml_keys import yaml_keys


def test_page_is_up_to_date():
    module = runpy.run_path(str(ROOT / "docs" / "make_keys.py"))
    assert module["PAGE"].read_text("utf-8") == module["page"](), (
        "run python docs/make_keys.py"
    )


@pytest.mark.parametrize("stage", ["ssl", "pa", "vocoder"])
def test_keys_except_brain_and_feature_loss_have_comments(stage):
    keys = yaml_keys(ROOT / "hparams" / f"{stage}.yaml")
    uncommented = {key.name for key in keys if not key.comment}
    assert uncommented <= {"brain", "feature_loss"}


def test_comments_beside_and_above_keys_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "# A header.\n\nseed: 1  # of all\n# Above\n# two: lines\n"
        "a: !new:dict\n    b: 2  # nested\nc: null\n\n"
        "# ---- model\nd: '# no comment'\n"
    )
    assert [tuple(key) for key in yaml_keys(path)] == [
        ("", "seed", "1", "of all"),
        ("", "a", "!new:dict", "Above two: lines"),
        ("", "c", "null", "Above two: lines"),
        ("model", "d", "'# no comment'", ""),
    ]
