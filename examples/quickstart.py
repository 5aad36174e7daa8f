"""Trains both stages on the examples and restores the noisy ones.

Some minutes on two CPU cores. The backbone is that of the small model that comes
along (miipher2/pretrained/compact); its vocoder goes on learning, on a minute of
speech, beside new adapters: it shows how training and restoring are done, not how
well the method restores.

    python examples/quickstart.py [OUTPUT_FOLDER]

Authors
 * The miipher2 authors 2026
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
MODEL = ROOT / "miipher2" / "pretrained" / "compact"


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
        f"--ssl_source={MODEL / 'backbone'}",
        "--segment_seconds=2.0",
        "--valid_clips=6",
        "--num_workers=1",
    ]
    run(
        "train.py",
        "hparams/pa.yaml",
        "@hparams/compact/pa.args",
        *common,
        f"--output_folder={output / 'pa'}",
        "--batch_size=4",
        "--max_steps=40",
        "--valid_interval=20",
        "--warmup_steps=5",
    )
    run(
        "train.py",
        "hparams/vocoder.yaml",
        "@hparams/compact/vocoder.args",
        *common,
        f"--start_folder={MODEL}",
        f"--cleaner_folder={output / 'pa'}",
        f"--output_folder={output / 'vocoder'}",
        "--batch_size=4",
        "--max_steps=40",
        "--valid_interval=20",
        "--lr=0.0001",
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
