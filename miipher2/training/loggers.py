"""Loggers in addition to the text log: TensorBoard and Weights & Biases.

Authors
 * The miipher2 authors 2026
"""

import importlib.util
import os
import uuid
from pathlib import Path

from speechbrain.utils import train_logger
from speechbrain.utils.distributed import if_main_process, main_process_only

from miipher2.dataio.atomic import write_text
from miipher2.dataio.hparams import one_line
from miipher2.errors import UserError
from miipher2.training.overrides import read_yaml

PACKAGES = {
    "tensorboard": ("tensorboard", "matplotlib"),
    "wandb": ("wandb", "matplotlib"),
}


class RunLogger(train_logger.TrainLogger):
    """Base class for loggers of statistics and validation clips.

    The base class logs nothing.
    """

    def log_stats(self, stats_meta, **stats):
        """Log statistics.

        Arguments
        ---------
        stats_meta : dict
            Metadata with ``step``, the optimizer step.
        **stats : dict
            Any of ``train_stats``, ``valid_stats`` and ``test_stats``.
        """

    def log_clips(self, step, clips):
        """Log validation clips.

        Arguments
        ---------
        step : int
            The optimizer step.
        clips : dict
            ``miipher2.training.shown_clips.ShownClip`` by name.
        """


class TensorBoardLogger(train_logger.TensorboardLogger):
    """SpeechBrain's TensorBoard logger, extended to log clips.

    The class has the methods of ``RunLogger``. The x axis of all charts is the
    optimizer step.

    Arguments
    ---------
    save_dir : str
        Folder for ``tensorboard --logdir``.
    """

    @main_process_only
    def log_stats(self, stats_meta, **stats):
        """See ``RunLogger``."""
        before = stats_meta["step"] - 1  # SpeechBrain adds 1
        self.global_step["meta"] = before
        for name in ("train", "valid", "test"):
            values = stats.get(f"{name}_stats", {})
            self.global_step[name] = dict.fromkeys(values, before)
        super().log_stats(stats_meta, **stats)
        self.writer.flush()

    @main_process_only
    def log_clips(self, step, clips):
        """See ``RunLogger``."""
        self.global_step["meta"] = step
        for name, clip in clips.items():
            for version, wav in clip.wavs.items():
                wav = wav.clamp(-1, 1)
                self.log_audio(f"{name}/{version}", wav, clip.sample_rate)
            tag = f"{name}/picture"
            self.writer.add_image(tag, clip.picture(), step, dataformats="HWC")
        self.writer.flush()


class WandBLogger(train_logger.WandBLogger):
    """SpeechBrain's Weights & Biases logger, extended to log clips.

    The class has the methods of ``RunLogger``. The x axis of all charts is the
    optimizer step. If training is resumed, the same wandb run is continued.
    Wandb's environment variables apply, for example ``WANDB_MODE=offline``.

    Arguments
    ---------
    output_folder : str
        Folder of the run. Its path is the default name of the wandb run.
    """

    def __init__(self, output_folder):
        run = start_wandb(output_folder) if if_main_process() else None
        super().__init__(lambda: run)

    @main_process_only
    def log_clips(self, step, clips):
        """See ``RunLogger``."""
        import wandb

        logs = {"step": step}
        for name, clip in clips.items():
            logs[f"{name}/picture"] = wandb.Image(clip.picture())
            for version, wav in clip.wavs.items():
                logs[f"{name}/{version}"] = wandb.Audio(
                    wav.numpy(), sample_rate=clip.sample_rate
                )
        self.run.log(logs)


def start_wandb(output_folder):
    """Start a wandb run, or continue the wandb run of a folder.

    Arguments
    ---------
    output_folder : str
        Folder of the training run. In this folder, the ID of the wandb run is
        stored in ``wandb/run_id``, and its configuration is read from
        ``hyperparams.yaml``.

    Returns
    -------
    wandb.Run
        The wandb run, whose charts have ``step`` as the x axis.

    Raises
    ------
    UserError
        If wandb cannot start, for example without a login or a network.
    """
    import wandb

    folder = Path(output_folder)
    identity = folder / "wandb" / "run_id"
    if not identity.exists():
        write_text(identity, uuid.uuid4().hex[:12])
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "miipher2"),
            name=os.environ.get("WANDB_NAME", str(output_folder)),
            dir=str(folder),
            id=identity.read_text("utf-8"),
            resume="allow",
            reinit="finish_previous",
            config=scalars(folder / "hyperparams.yaml"),
            allow_val_change=True,
        )
    except wandb.errors.Error as error:
        raise UserError(
            f"--logger=wandb: cannot start: {one_line(error)}; run "
            "'wandb login', or set WANDB_MODE=offline in the environment"
        ) from None
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def scalars(hyperparams):
    """Return the top-level numbers, strings and booleans of a YAML file.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.yaml"
    >>> _ = path.write_text("lr: 0.1\\nmodel: !new:torch.nn.ReLU\\nseed: 1")
    >>> scalars(path)
    {'lr': 0.1, 'seed': 1}
    """
    values = {}
    for key, value in read_yaml(hyperparams).items():
        for kind in (bool, int, float, str):
            # the YAML parser returns subclasses of these types
            if isinstance(value, kind):
                values[key] = kind(value)
                break
    return values


def choose_logger(name, **loggers):
    """Return the logger selected by ``--logger``.

    Arguments
    ---------
    name : str
        Name of the logger.
    **loggers : callable
        Available loggers by name.

    Returns
    -------
    callable
        Function or class that creates the logger.

    Raises
    ------
    UserError
        If there is no such logger, or if a package for it is not installed.

    Example
    -------
    >>> choose_logger("mine", curves=None, mine=RunLogger)
    <class 'miipher2.training.loggers.RunLogger'>
    >>> choose_logger("yours", curves=None, mine=RunLogger)
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: --logger=yours: expected curves or mine
    """
    if name not in loggers:
        raise UserError(f"--logger={name}: expected {' or '.join(loggers)}")
    for package in PACKAGES.get(name, ()):
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"--logger={name}: {package} is not installed; "
                f"pip install {package}"
            )
    return loggers[name]
