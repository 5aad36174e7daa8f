"""Tests of device selection; no accelerator is needed.

Authors
 * The miipher2 authors 2026
"""

import argparse
import logging

import pytest
import torch

from miipher2.errors import UserError
from miipher2.inference import devices
from miipher2.inference.corpus.sharding import load_restorer
from miipher2.inference.devices import available_devices, choose_device


@pytest.fixture
def accelerator(monkeypatch):
    """Return a function that simulates accelerators of a given type."""

    def pretend(kind, count=1):
        device = None if kind is None else torch.device(kind)
        fakes = {
            "current_accelerator": lambda check_available: device,
            "device_count": lambda: count,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.accelerator, name, fake)
        monkeypatch.setattr(devices, "_check", lambda name: None)
        monkeypatch.delenv("LOCAL_RANK", raising=False)

    return pretend


@pytest.mark.parametrize(
    ("kind", "available"),
    [
        ("cuda", ["cuda:0", "cuda:1", "cpu"]),
        ("xpu", ["xpu:0", "xpu:1", "cpu"]),
        ("mps", ["mps", "cpu"]),
        ("mtia", ["cpu"]),
        (None, ["cpu"]),
    ],
)
def test_auto_chooses_the_first_available_device(accelerator, kind, available):
    accelerator(kind, 2)
    assert available_devices() == available
    assert choose_device() == choose_device("auto") == available[0]


def test_each_process_of_torchrun_uses_its_own_accelerator(
    accelerator, monkeypatch
):
    accelerator("xpu", 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == "xpu:1"
    assert choose_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "xpu:99"])
def test_an_unavailable_device_is_an_error(name):
    with pytest.raises(UserError, match=f"--device {name}: not .* auto, .*cpu"):
        choose_device(name)


def test_the_cpu_is_used_if_a_device_cannot_run_the_model(tiny_model, caplog):
    """Any model fails on the ``meta`` device, which stores no values."""
    arguments = argparse.Namespace(
        model=str(tiny_model), trust_model=False, device="meta", precision=None
    )
    with caplog.at_level(logging.WARNING, "miipher2.inference"):
        restorer = load_restorer(arguments)
    (message,) = [r.message for r in caplog.records if "meta" in r.message]
    assert message.startswith("meta: cannot run this model (")
    assert message.endswith("); using the CPU") and "\n" not in message
    assert str(restorer.device) == "cpu"
    assert restorer.restore(torch.zeros(16000)).isfinite().all()
