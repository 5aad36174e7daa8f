"""Tests that each "Add a ..." section of CONTRIBUTING.md works as written.

Authors
 * The miipher2 authors 2026
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
from tiny_runs import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
# Files and folders of the repository that the copy contains
COPIED = ("miipher2", "hparams", "recipes", "examples", "train.py")
ADD = [
    title for title in re.findall(r"^## (.+)$", PAGE, re.M) if "Add" in title
]


def blocks(title):
    """Return (language, text) for each code block of a section."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", section, re.M | re.S)


def write(root, text):
    """Write a code block to a file.

    The first line gives the name of the file and, for an existing file, where
    to insert the block.
    """
    header, text = text.split("\n", 1)
    name, _, place = header.removeprefix("# ").partition(", ")
    path = root / name
    if not place:
        path.parent.mkdir(exist_ok=True)
        assert not path.exists(), f"{name}: expected a new file"
        path.write_text(text)
    elif place == "at the end":
        path.write_text(path.read_text() + text)
    else:
        marker = place.removeprefix('above "').removesuffix('"')
        lines = path.read_text().splitlines(keepends=True)
        (index,) = (i for i, line in enumerate(lines) if marker in line)
        lines.insert(index, f"{text}\n")
        path.write_text("".join(lines))


@pytest.fixture
def copy(tmp_path):
    """Return a copy of the repository that a test can change."""
    for name in COPIED:
        source = ROOT / name
        if source.is_file():
            shutil.copy(source, tmp_path)
        else:
            ignored = shutil.ignore_patterns("__pycache__", "pretrained")
            shutil.copytree(
                source, tmp_path / name, symlinks=True, ignore=ignored
            )
    return tmp_path


def run(folder, script):
    """Run shell commands in a copied repository, using the copied package."""
    commands = folder / "bin"
    commands.mkdir()
    for name, start in (("python", ""), ("miipher2", "-m miipher2 ")):
        path = commands / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {start}"$@"\n')
        path.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_kind_of_addition_is_described():
    assert ADD == [
        "Add a backbone",
        "Add a vocoder",
        "Add a degradation",
        "Add a corpus",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("title", ADD)
def test_addition_works_as_written(title, copy):
    ((_, settings),) = blocks("Tiny runs")
    *files, (language, commands) = blocks(title)
    assert language == "bash" and files
    for _, text in files:
        write(copy, text)
    run(copy, settings + commands)
    results = copy / "results"
    if title == "Add a vocoder":
        assert len(list(results.glob("restored/*.wav"))) == 3
    if title == "Add a degradation":
        manifest = (results / "tremolo/manifest.csv").read_text()
        assert '""hz""' in manifest
    if title == "Add a corpus":
        for folder in ("manifests", "adapters"):
            rows = (results / folder / "train.csv").read_text()
            assert ",arctic" in rows or ",nl" in rows or ",de" in rows
    if title != "Add a degradation":
        assert list(results.glob("*/model"))
