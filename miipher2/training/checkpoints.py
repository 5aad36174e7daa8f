"""A checkpointer that never resumes from an incomplete checkpoint.

Authors
 * The miipher2 authors 2026
"""

import os
import shutil

import yaml
from speechbrain.utils.checkpoints import METAFNAME, Checkpointer
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from speechbrain.utils.logger import get_logger

from miipher2.dataio.atomic import write_text
from miipher2.dataio.hparams import one_line
from miipher2.errors import UserError
from miipher2.training.settings import RUN

logger = get_logger(__name__)

SIZES = "sizes"  # key in the meta file for the file sizes in bytes


class AtomicCheckpointer(Checkpointer):
    """A checkpointer that is safe if the process is killed while saving.

    SpeechBrain recognises a checkpoint by its meta file, which it writes first.
    After a run is killed while saving, SpeechBrain would resume from the
    incomplete checkpoint. This class writes the meta file last, with the sizes
    of all files. When a run is resumed, a checkpoint whose file sizes do not
    match is renamed, and the previous checkpoint is loaded.

    Arguments
    ---------
    checkpoints_dir : str
        Folder of the checkpoints.
    recoverables : dict
        Objects to save, by name.

    Attributes
    ----------
    run : dict
        Settings of the run and hashes of its data. They are stored under the
        ``run`` key in the meta file of every checkpoint; see
        ``miipher2.training.settings``.

    Example
    -------
    >>> folder = getfixture("tmpdir")
    >>> from torch import nn
    >>> checkpointer = AtomicCheckpointer(folder, {"model": nn.Linear(2, 2)})
    >>> checkpoint = checkpointer.save_checkpoint()
    >>> len(checkpointer.list_checkpoints())
    1
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.run = {}

    def _save_checkpoint_metafile(self, fpath, meta, end_of_epoch=True):
        self._writing = fpath.parent
        return super()._save_checkpoint_metafile(
            fpath.with_name(fpath.name + ".partial"),
            {**meta, RUN: self.run},
            end_of_epoch,
        )

    def save_checkpoint(self, *args, **kwargs):
        """Save a checkpoint; see ``Checkpointer.save_checkpoint``.

        Raises
        ------
        UserError
            If the checkpoint cannot be written, for example because the disk is
            full. Earlier checkpoints are kept.
        """
        self._writing = self.checkpoints_dir
        try:
            checkpoint = super().save_checkpoint(*args, **kwargs)
            ddp_barrier()
            if if_main_process():
                _complete(checkpoint)
        # torch.save raises a RuntimeError if the disk is full
        except (OSError, RuntimeError) as error:
            if self._writing != self.checkpoints_dir:
                shutil.rmtree(self._writing, ignore_errors=True)
            raise UserError(
                f"{self._writing}: this checkpoint cannot be written: "
                f"{one_line(error)}; free some space and run the same command "
                "again to resume from the previous checkpoint"
            ) from error
        ddp_barrier()
        return checkpoint

    def save_and_keep_only(self, *args, **kwargs):
        """Save a checkpoint and delete others, as in ``Checkpointer``."""
        # SpeechBrain's default is a mutable list shared by all calls
        kwargs.setdefault("importance_keys", [])
        super().save_and_keep_only(*args, **kwargs)

    def recover_if_possible(self, *args, **kwargs):
        """Delete incomplete checkpoints, rename damaged ones, then recover.

        Raises
        ------
        UserError
            If the checkpoint does not fit the modules or cannot be loaded.
        """
        if if_main_process() and self.checkpoints_dir.is_dir():
            for folder in self.checkpoints_dir.glob("CKPT+*"):
                if not (folder / METAFNAME).exists():
                    shutil.rmtree(folder, ignore_errors=True)
                elif reason := _damage(folder):
                    renamed = folder.with_name(f"damaged-{folder.name}")
                    folder.rename(renamed)
                    logger.warning(
                        f"{folder}: damaged checkpoint ({reason}), renamed to "
                        f"{renamed.name} and ignored"
                    )
        ddp_barrier()
        return super().recover_if_possible(*args, **kwargs)

    def _call_load_hooks(self, checkpoint):
        try:
            super()._call_load_hooks(checkpoint)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{checkpoint.path}: this checkpoint cannot be loaded: "
                f"{one_line(error)}; to use the previous checkpoint, remove "
                "this folder; to start a new run, give --output_folder=FOLDER"
            ) from error


def _complete(checkpoint):
    """Flush all files of a checkpoint to disk, then write the meta file."""
    sizes = {}
    for path in checkpoint.path.glob("*.ckpt"):
        with open(path, "r+b") as file:  # Windows requires write access to sync
            os.fsync(file.fileno())
        sizes[path.name] = path.stat().st_size
    meta = checkpoint.path / METAFNAME
    text = yaml.dump({**checkpoint.meta, SIZES: sizes})
    write_text(meta, f"# yamllint disable\n{text}")
    meta.with_name(meta.name + ".partial").unlink()


def _damage(folder):
    """Return a description of the damage, or None for a valid checkpoint."""
    try:
        meta = yaml.safe_load((folder / METAFNAME).read_text("utf-8"))
        sizes = meta.get(SIZES, {})
        meta["unixtime"], meta["end-of-epoch"]
    except (ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError):
        return f"{METAFNAME} cannot be read"
    for path in sorted(folder.glob("*.ckpt")):
        size = path.stat().st_size
        expected = sizes.pop(path.name, size)
        if not size:
            return f"{path.name} is empty"
        if size != expected:
            return f"{path.name} has {size} bytes, expected {expected}"
    if sizes:
        return f"{min(sizes)} is missing"
    return None
