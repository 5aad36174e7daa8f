"""Tiny corpora for tests of the prepare scripts.

Authors
 * The miipher2 authors 2026
"""

import csv
import importlib.util
from pathlib import Path

import numpy
import pytest
import soundfile

RECIPES = Path(__file__).parents[2] / "recipes"


def audio(path, seconds=0.1, rate=8000, channels=1):
    """Write a silent audio file; create its folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = numpy.zeros((round(seconds * rate), channels))
    soundfile.write(path, samples, rate)


def load(script):
    """Import a script of ``recipes``, such as ``Folder/folder_prepare.py``."""
    path = RECIPES / script
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Corpus:
    """A corpus in the folder ``root``, and the manifests prepared from it."""

    def __init__(self, folder):
        self.root = folder / "corpus"
        self.root.mkdir()
        self.out = folder / "manifests"
        self.csvs = [self.out / f"{s}.csv" for s in ("train", "valid", "test")]

    def write(self, *paths, **properties):
        for path in paths:
            audio(self.root / path, **properties)

    def run(self, prepare, **options):
        prepare(self.root, *self.csvs, **options)
        return [self.rows(path) for path in self.csvs]

    def rows(self, path):
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def speakers(self, rows):
        return {row["spk_id"] for row in rows}

    def wavs(self, rows):
        return [row["wav"].removeprefix("$data_root/") for row in rows]


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


@pytest.fixture(scope="module")
def recipe():
    return load
