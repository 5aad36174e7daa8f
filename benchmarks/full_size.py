"""Measure the cost of a 10 s clip with full-size models and random weights.

Measures the duration and the peak memory of restoration and of one training
step of stages 1 and 2, and counts trainable parameters. The models are
HuBERT-large up to layer 13, adapters with a bottleneck of 1024, and HiFi-GAN
with its discriminators. Each row of the table is measured in a separate
process.

    python benchmarks/full_size.py

Authors
 * The miipher2 authors 2026
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 10
HUBERT_LARGE = """
source: !new:transformers.HubertConfig
    hidden_size: 1024
    num_hidden_layers: 24
    num_attention_heads: 16
    intermediate_size: 4096
    conv_bias: True
    feat_extract_norm: layer
    do_stable_layer_norm: True
layer: 13
"""


def experiment(stage, folder):
    """Load the YAML file of a stage with an untrained HuBERT-large."""
    from miipher2.training.experiment import load_hparams

    sys.path += map(str, ROOT.glob("recipes/*"))
    (folder / "ssl.yaml").write_text(HUBERT_LARGE)
    overrides = {
        "data_folder": str(folder),
        "output_folder": str(folder / stage),
    }
    text = "".join(f"{k}: {v}\n" for k, v in overrides.items())
    text += f"ssl: !include:{folder}/ssl.yaml\n"
    if stage == "vocoder":
        text += f"cleaner_folder: {folder / 'pa'}\n"
    return load_hparams(str(ROOT / f"hparams/{stage}.yaml"), text)


def batch():
    """Return a batch that contains one clip of noise."""
    import torch
    from speechbrain.dataio.batch import PaddedBatch

    wav = 0.1 * torch.randn(SECONDS * 16000)
    item = {"id": "all/a", "kind": "all", "bandwidth": 8000.0, "cut": 0.5}
    return PaddedBatch([{**item, "clean": wav, "noisy": wav, "target": wav}])


def measure(stage, precision, folder):
    """Run one stage and print its measurements as JSON."""
    import torch

    from miipher2.training.experiment import load_cleaner

    name = "pa" if stage == "adapters" else "vocoder"
    hparams = experiment(name, folder)
    if name == "vocoder":
        load_cleaner(hparams["cleaner"], hparams["cleaner_folder"])
        hparams["cleaner"].requires_grad_(False)
    trainable = {
        key: sum(p.numel() for p in m.parameters() if p.requires_grad)
        for key, m in hparams["modules"].items()
    }
    if stage == "restore":
        step = build_restore(hparams, precision)
    else:
        brain = hparams["brain"](
            modules=hparams["modules"],
            opt_class=hparams["opt_class"],
            hparams=hparams,
            run_opts={"device": "cpu", "precision": precision},
            checkpointer=hparams["checkpointer"],
        )
        brain.init_optimizers()
        brain.modules.train()
        if name == "pa":  # stage 2 loads these adapters
            hparams["export"](hparams, str(ROOT / "hparams/pa.yaml"), {})
        else:
            brain.optimizer_step = hparams["pretrain_steps"]

        def step():
            brain.step += 1
            brain.fit_batch(batch())

    step()
    start = time.time()
    step()
    seconds = time.time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps(
            {
                "stage": stage,
                "precision": precision,
                "trainable": trainable,
                "seconds": round(seconds, 2),
                "peak_gib": round(peak, 2),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            }
        )
    )


def build_restore(hparams, precision):
    """Return a function that restores one clip."""
    import torch

    from miipher2.inference.restorer import Restorer

    modules = {key: hparams["modules"][key] for key in ("cleaner", "generator")}
    windows = {"window_seconds": 20.0, "overlap_seconds": 1.0}
    run_opts = {"device": "cpu", "precision": precision}
    restorer = Restorer(modules, windows, run_opts)
    wav = 0.1 * torch.randn(SECONDS * 16000)
    return lambda: restorer.restore(wav)


def main():
    """Measure each row in a separate process and print the table."""
    print("| stage | precision | trainable parameters | s | peak GiB |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("bf16", "fp32"):
            for stage in ("adapters", "vocoder", "restore"):
                done = subprocess.run(
                    [sys.executable, __file__, stage, precision, folder],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                row = json.loads(done.stdout.splitlines()[-1])
                trainable = ", ".join(
                    f"{name} {count / 1e6:.1f} M"
                    for name, count in row["trainable"].items()
                    if count and stage != "restore"
                )
                print(
                    f"| {stage} | {precision} | {trainable} | "
                    f"{row['seconds']} | {row['peak_gib']} |",
                    flush=True,
                )
    print(f"\ntorch {row['torch']}, {row['threads']} threads")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(*sys.argv[1:3], Path(sys.argv[3]))
    else:
        main()
