"""Command lines of tiny training runs.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def arguments(stage, corpus, output, **overrides):
    """The command line of a tiny run.

    Arguments
    ---------
    stage : str
        ``pa`` or ``vocoder``.
    corpus : Path
        From the fixture of that name.
    output : Path
        The run's ``output_folder``.
    **overrides : dict
        What else to override.
    """
    options = {
        "data_folder": corpus / "speech",
        "noise_folder": corpus / "noise",
        "rir_folder": corpus / "rirs",
        "output_folder": output,
        "adapter_bottleneck": 8,
        "batch_size": 2,
        "segment_seconds": 0.6,
        "num_workers": 0,
        "max_steps": 2,
        "valid_interval": 2,
        "valid_clips": 1,
        "valid_kinds": "[all]",
        "device": "cpu",
    }
    if stage == "vocoder":
        options |= {
            "vocoder": "!include:models/vocoder/hifigan_small.yaml",
            "discriminator": (
                "!new:miipher2.models.discriminators.FrameDiscriminator"
            ),
            "vocoder_frames": 12,
        }
    options |= overrides
    given = [f"--{k}={v}" for k, v in options.items()]
    return [str(ROOT / "hparams" / f"{stage}.yaml"), *given, "--noprogressbar"]
