"""Fixtures: a tiny model, which is loaded once, and recordings.

Authors
 * The miipher2 authors 2026
"""

import pytest
import soundfile
from tiny_restorer import save_tiny_restorer, voice

from miipher2.inference.restorer import Restorer


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Return the folder of a tiny model with an output rate of 24 kHz."""
    return save_tiny_restorer(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def restorer(tiny_model):
    """Return the tiny model, loaded on the CPU."""
    return Restorer.from_hparams(tiny_model, run_opts={"device": "cpu"})


@pytest.fixture
def recordings(tmp_path):
    """Return a function that writes recordings of given durations."""

    def write(durations, rate=16000):
        for seed, (name, seconds) in enumerate(durations.items()):
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, voice(seconds, rate, seed), rate)
        return tmp_path / "in"

    return write
