"""Command lines of tiny training runs.

Authors
 * The miipher2 authors 2026
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def arguments(stage, corpus, output, **overrides):
    """Return the command line of a tiny run.

    Arguments
    ---------
    stage : str
        An experiment in ``hparams``, for example ``pa`` or ``compact/ssl``.
    corpus : Path
        The folder from the ``corpus`` fixture.
    output : Path
        The run's ``output_folder``.
    **overrides
        Further overrides.

    Returns
    -------
    list of str
        The arguments of ``train.py``.
    """
    options = {
        "data_folder": corpus / "speech",
        "noise_folder": corpus / "noise",
        "rir_folder": corpus / "rirs",
        "output_folder": output,
        "batch_size": 2,
        "segment_seconds": 0.6,
        "num_workers": 0,
        "max_steps": 2,
        "valid_interval": 2,
        "valid_clips": 1,
        "valid_kinds": "[all]",
        "device": "cpu",
    }
    if not stage.endswith("ssl"):
        options["adapter_bottleneck"] = 8
    if stage == "vocoder":
        options |= {
            "vocoder": "!include:models/vocoder/hifigan_small.yaml",
            "discriminator": (
                "!new:miipher2.models.discriminators.FrameDiscriminator"
            ),
            "vocoder_frames": 12,
        }
    options |= overrides
    options = [f"--{key}={value}" for key, value in options.items()]
    yaml = str(ROOT / "hparams" / f"{stage}.yaml")
    return [yaml, *options, "--noprogressbar"]


def logged(folder, name, after=""):
    """Return the logged values of a statistic in ``train_log.txt``.

    Arguments
    ---------
    folder : Path
        The run's ``output_folder``.
    name : str
        Name of the statistic.
    after : str
        Regular expression that the text after the value must match.

    Returns
    -------
    list of str
        The values, as text.
    """
    text = (folder / "train_log.txt").read_text()
    return re.findall(rf"{name}: ([\d.e+-]+|nan){after}", text)
