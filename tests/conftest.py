"""Shared fixtures, including a small corpus and tiny training runs.

Authors
 * The miipher2 authors 2026
"""

import importlib.util
import logging
import os
import shutil
import sys
from pathlib import Path

import numpy
import pytest
import soundfile
import torch
from local_hub import TOKEN, LocalHub
from tiny_models import save_tiny_backbone
from tiny_runs import arguments
from tiny_voice import voice

ROOT = Path(__file__).parents[1]

# One thread in the processes that tests start, because tests run in parallel
# and the models are tiny
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Use one thread in the processes that run the tests."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def browser():
    """Yield a headless Chromium; skip without Playwright or Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def no_log_handlers_of_training():
    """After each test, remove the log handlers of training runs."""
    yield
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler).__module__ in ("logging", "speechbrain.utils.logger"):
            root.removeHandler(handler)
            handler.close()
    root.setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Write ``speech/{train,valid}/<speaker>``, ``noise`` and ``rirs``."""
    root = tmp_path_factory.mktemp("corpus")
    rng = numpy.random.default_rng(0)
    for split, speakers in (("train", 4), ("valid", 2)):
        for speaker in range(speakers):
            folder = root / "speech" / split / f"{split}{speaker}"
            folder.mkdir(parents=True)
            for take in range(2):
                seconds = rng.uniform(1.0, 2.5)
                wav = voice(rng, seconds)
                soundfile.write(folder / f"take{take}.wav", wav, 16000)
    for split in ("train", "valid"):
        (root / "noise" / split).mkdir(parents=True)
        (root / "rirs" / split).mkdir(parents=True)
        noise = 0.1 * rng.standard_normal(16000)
        soundfile.write(root / "noise" / split / "hiss.wav", noise, 16000)
        decay = numpy.exp(-numpy.arange(4000) / 800)
        rir = decay * rng.standard_normal(4000) * 0.1
        rir[0] = 1.0
        soundfile.write(root / "rirs" / split / "room.wav", rir, 16000)
    return root


@pytest.fixture(scope="session")
def train_script():
    """Import ``train.py`` as a module."""
    spec = importlib.util.spec_from_file_location("train", ROOT / "train.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def train(train_script, corpus):
    """Train in this process: ``train(stage, output, **overrides)``."""

    def run(stage, output, **overrides):
        train_script.main(arguments(stage, corpus, output, **overrides))
        return output

    return run


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory):
    """Save a tiny HuBERT; return its folder."""
    return save_tiny_backbone(tmp_path_factory.mktemp("hubert"), "hubert")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, train_script, corpus, tiny_backbone):
    """Train stages 1 and 2; return the folder with ``pa`` and ``vocoder``."""
    root = tmp_path_factory.mktemp("trained")
    backbone = {"ssl_source": tiny_backbone, "ssl_layer": 2}
    train_script.main(arguments("pa", corpus, root / "pa", **backbone))
    train_script.main(
        arguments(
            "vocoder",
            corpus,
            root / "vocoder",
            cleaner_folder=root / "pa",
            pretrain_steps=1,
            **backbone,
        )
    )
    return root


@pytest.fixture
def local_hub(tmp_path_factory, monkeypatch):
    """Run a stand-in for the Hugging Face Hub with an empty local cache."""
    from huggingface_hub import constants

    hub = LocalHub()
    url = constants.HUGGINGFACE_CO_URL_TEMPLATE
    url = url.replace(constants.ENDPOINT, hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    cache = str(tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with hub.running():
        yield hub
