"""A checkpointer that writes checkpoints atomically.

Authors
 * The miipher2 authors 2026
"""

import os
import shutil

from speechbrain.utils.checkpoints import METAFNAME, Checkpointer
from speechbrain.utils.distributed import ddp_barrier, if_main_process


class AtomicCheckpointer(Checkpointer):
    """SpeechBrain's checkpointer, robust to a kill while it saves.

    SpeechBrain recognises a checkpoint by its meta file, which it writes
    first, so a run that was killed while saving resumes from an incomplete
    checkpoint. Here the meta file is renamed to its final name last.

    Arguments
    ---------
    checkpoints_dir : str
        Folder of the checkpoints.
    recoverables : dict
        Name -> object to save.

    Example
    -------
    >>> folder = getfixture("tmpdir")
    >>> from torch import nn
    >>> checkpointer = AtomicCheckpointer(folder, {"model": nn.Linear(2, 2)})
    >>> checkpoint = checkpointer.save_checkpoint()
    >>> len(checkpointer.list_checkpoints())
    1
    """

    def _save_checkpoint_metafile(self, fpath, meta, end_of_epoch=True):
        partial = fpath.with_name(fpath.name + ".partial")
        return super()._save_checkpoint_metafile(partial, meta, end_of_epoch)

    def save_checkpoint(self, *args, **kwargs):
        """Save a checkpoint; see ``Checkpointer.save_checkpoint``."""
        checkpoint = super().save_checkpoint(*args, **kwargs)
        ddp_barrier()
        if if_main_process():
            meta = checkpoint.path / METAFNAME
            os.replace(meta.with_name(meta.name + ".partial"), meta)
        ddp_barrier()
        return checkpoint

    def save_and_keep_only(self, *args, **kwargs):
        """Save and clean up; see ``Checkpointer.save_and_keep_only``."""
        # SpeechBrain's default is a mutable list shared by all calls
        kwargs.setdefault("importance_keys", [])
        super().save_and_keep_only(*args, **kwargs)

    def recover_if_possible(self, *args, **kwargs):
        """Remove incomplete checkpoints, then recover as ``Checkpointer``."""
        if if_main_process() and self.checkpoints_dir.is_dir():
            for folder in self.checkpoints_dir.glob("CKPT+*"):
                if not (folder / METAFNAME).exists():
                    shutil.rmtree(folder, ignore_errors=True)
        ddp_barrier()
        return super().recover_if_possible(*args, **kwargs)
