"""Fixtures: tiny corpora and the chain of degrade.yaml.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from tiny_audio import RATE, decaying, speech_like, write_manifest_of

from miipher2.degrade.command import DEFAULT_CHAIN


@pytest.fixture(scope="session")
def speech():
    """Return speech-like audio, a tensor (time,)."""
    return torch.from_numpy(speech_like(0))


@pytest.fixture(scope="session")
def corpora(tmp_path_factory):
    """Write tiny corpora; return overrides of degrade.yaml that use them."""
    root = tmp_path_factory.mktemp("corpora")
    rng = np.random.default_rng(1)
    time = np.arange(5 * RATE) / RATE
    clips = {
        "noise": {
            "long": 0.1 * rng.standard_normal(12 * RATE),
            "short": 0.1 * rng.standard_normal(RATE // 2),
        },
        "music": {
            "chord": 0.1 * np.sin(880 * time) + 0.1 * np.sin(1320 * time)
        },
        "rir": {f"rt{rt}": decaying(rt) for rt in (0.3, 0.6)},
        "speech": {f"voice{seed}": speech_like(seed) for seed in range(1, 7)},
    }
    overrides = {}
    for name, files in clips.items():
        manifest = write_manifest_of(root / name, files)
        overrides[f"{name}_csv"] = str(manifest)
        overrides[f"{name}_root"] = str(manifest.parent)
    return overrides


@pytest.fixture(scope="session")
def chain(corpora):
    """Return the chain of degrade.yaml with all corpora."""
    with open(DEFAULT_CHAIN) as file:
        return load_hyperpyyaml(file, corpora)["chain"]
