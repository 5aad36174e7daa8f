"""A test to append to the checkpoint tests of SpeechBrain.

Authors
 * The miipher2 authors 2026
"""

import torch


def test_keep_recent_does_not_change_later_calls(tmpdir):
    from speechbrain.utils.checkpoints import Checkpointer

    checkpointer = Checkpointer(tmpdir, {"model": torch.nn.Linear(1, 1)})
    checkpointer.save_and_keep_only(meta={"error": 1}, min_keys=["error"])
    checkpointer.save_and_keep_only(
        meta={"error": 2}, min_keys=["error"], keep_recent=False
    )
    (kept,) = checkpointer.list_checkpoints()
    assert kept.meta["error"] == 1

    keys = [lambda checkpoint: -checkpoint.meta["error"]]
    checkpointer.save_and_keep_only(meta={"error": 3}, importance_keys=keys)
    assert len(keys) == 1
