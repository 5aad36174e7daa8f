"""Checkpoints that are whole or not there.

Authors
 * The miipher2 authors 2026
"""

import os
import shutil

from speechbrain.utils.checkpoints import METAFNAME, Checkpointer
from speechbrain.utils.distributed import ddp_barrier, if_main_process


class WholeCheckpointer(Checkpointer):
    """SpeechBrain's checkpointer, safe against being killed while it saves.

    SpeechBrain knows a checkpoint by its meta file and writes that file
    first, so that a run killed in between resumes from half a checkpoint.
    Here it is written under another name and gets its own when all the rest
    is on disk.

    Arguments
    ---------
    checkpoints_dir : str
        Where the checkpoints are.
    recoverables : dict
        Name -> object to save.

    Example
    -------
    >>> folder = getfixture("tmpdir")
    >>> from torch import nn
    >>> keeper = WholeCheckpointer(folder, {"model": nn.Linear(2, 2)})
    >>> checkpoint = keeper.save_checkpoint()
    >>> len(keeper.list_checkpoints())
    1
    """

    def _save_checkpoint_metafile(self, fpath, meta, end_of_epoch=True):
        partial = fpath.with_name(fpath.name + ".partial")
        return super()._save_checkpoint_metafile(partial, meta, end_of_epoch)

    def save_checkpoint(self, *args, **kwargs):
        """Saves a checkpoint, see ``Checkpointer.save_checkpoint``."""
        checkpoint = super().save_checkpoint(*args, **kwargs)
        ddp_barrier()
        if if_main_process():
            meta = checkpoint.path / METAFNAME
            os.replace(meta.with_name(meta.name + ".partial"), meta)
        ddp_barrier()
        return checkpoint

    def save_and_keep_only(self, *args, **kwargs):
        """Saves and cleans up, see ``Checkpointer.save_and_keep_only``."""
        # the default is one list for all calls, which grows with each of them
        kwargs.setdefault("importance_keys", [])
        super().save_and_keep_only(*args, **kwargs)

    def recover_if_possible(self, *args, **kwargs):
        """Recovers, see ``Checkpointer``; removes what was left half-saved."""
        if if_main_process() and self.checkpoints_dir.is_dir():
            for folder in self.checkpoints_dir.glob("CKPT+*"):
                if not (folder / METAFNAME).exists():
                    shutil.rmtree(folder, ignore_errors=True)
        ddp_barrier()
        return super().recover_if_possible(*args, **kwargs)
