"""Tests of checkpoints whose saving was interrupted.

Authors
 * The miipher2 authors 2026
"""

import pytest
import torch


class Interrupted(Exception):
    """Simulates the end of the process."""


def interrupt(obj, path):
    """Save hook that is interrupted while it writes a file."""
    path.write_bytes(b"incomplete")
    raise Interrupted


def value(parameter):
    """Return the value of a parameter with one element."""
    return parameter.detach().item()


@pytest.fixture
def checkpointer(tmpdir):
    """Return a checkpointer with one checkpoint, in which the weight is 1."""
    from speechbrain.utils.checkpoints import Checkpointer

    model = torch.nn.Linear(1, 1)
    checkpointer = Checkpointer(tmpdir, {"model": model})
    torch.nn.init.ones_(model.weight)
    checkpointer.save_checkpoint(name="first")
    torch.nn.init.zeros_(model.weight)
    return checkpointer


def test_an_incomplete_checkpoint_is_not_loaded(checkpointer):
    checkpointer.custom_save_hooks["model"] = interrupt
    with pytest.raises(Interrupted):
        checkpointer.save_checkpoint()
    assert len(checkpointer.list_checkpoints()) == 1
    checkpointer.recover_if_possible()
    assert value(checkpointer.recoverables["model"].weight) == 1.0


def test_an_incompletely_replaced_checkpoint_is_not_loaded(checkpointer):
    checkpointer.custom_save_hooks["model"] = interrupt
    with pytest.raises(Interrupted):
        checkpointer.save_checkpoint(name="first")
    assert checkpointer.list_checkpoints() == []


def test_the_meta_file_is_complete_or_absent(checkpointer, monkeypatch):
    import yaml

    def interrupted_dump(*args, **kwargs):
        raise Interrupted

    monkeypatch.setattr(yaml, "dump", interrupted_dump)
    with pytest.raises(Interrupted):
        checkpointer.save_checkpoint()
    (checkpoint,) = checkpointer.list_checkpoints()
    assert checkpoint.path.name.endswith("first")
