"""Trains both stages on the examples and restores the noisy ones.

Two or three minutes on two CPU cores. The backbone has random weights and training is far too
short: it shows that everything runs, not how well the method restores.

    python examples/quickstart.py [OUTPUT_FOLDER]

Authors
 * The miipher2 authors 2026
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def run(*command):
    """Shows a command and runs it; ends the program if it fails."""
    print("$", *command, flush=True)
    done = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT)
    if done.returncode:
        sys.exit(done.returncode)


def main(output):
    """Runs the three commands of the README on the examples.

    Arguments
    ---------
    output : Path
        Where the experiments and the restored recordings go.
    """
    common = [
        f"--data_folder={EXAMPLES / 'speech'}",
        f"--noise_folder={EXAMPLES / 'noise'}",
        f"--rir_folder={EXAMPLES / 'rirs'}",
        "--ssl=!include:models/ssl/hubert_tiny.yaml",
        "--adapter_bottleneck=64",
        "--batch_size=4",
        "--segment_seconds=2.0",
        "--valid_clips=6",
        "--num_workers=1",
    ]
    run(
        "train.py",
        "hparams/pa.yaml",
        *common,
        f"--output_folder={output / 'pa'}",
        "--max_steps=100",
        "--valid_interval=50",
        "--lr=0.001",
    )
    run(
        "train.py",
        "hparams/vocoder.yaml",
        *common,
        f"--cleaner_folder={output / 'pa'}",
        f"--output_folder={output / 'vocoder'}",
        "--vocoder=!include:models/vocoder/istft.yaml",
        "--discriminator="
        "!new:miipher2.vocoders.discriminators.FrameDiscriminator",
        "--max_steps=150",
        "--pretrain_steps=100",
        "--mel_steps=140",
        "--valid_interval=50",
        "--lr=0.001",
    )
    restored = output / "restored"
    run(
        "-m",
        "miipher2",
        "restore",
        EXAMPLES / "noisy",
        restored,
        "--model",
        output / "vocoder" / "model",
    )
    for path in sorted(restored.glob("*.wav")):
        print("restored:", path)


if __name__ == "__main__":
    folder = sys.argv[1] if len(sys.argv) > 1 else "results/quickstart"
    main(Path(folder).resolve())
