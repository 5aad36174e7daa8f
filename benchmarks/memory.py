"""Compute, without a GPU, the GPU memory and the FLOPs of training.

Runs single training steps of hparams/pa.yaml and hparams/vocoder.yaml on the
CPU, with random weights, and counts the bytes of all allocated tensors:
weights, gradients, optimizer states, activations and temporary results. The
peak is a linear function of the batch size, so it is extrapolated from batches
of one and two clips. The CUDA context and memory fragmentation are not
included.

    python benchmarks/memory.py > tables.md

Authors
 * The miipher2 authors 2026
"""

import json
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

import reference
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

RATE = 16000
GIB = 2**30
# Stage, vocoder, precision, duration of a clip in seconds
CASES = [
    ("pa", None, "bf16", 10.0),
    ("vocoder", "hifigan", "bf16", 4.0),
    ("pa", None, "fp32", 10.0),
    ("vocoder", "hifigan", "fp32", 4.0),
    ("vocoder", "istft", "bf16", 4.0),
]
BATCHES = (1, 4, 16, 32)


class LiveBytes(TorchDispatchMode):
    """Counter of the bytes of all allocated tensors.

    Arguments
    ---------
    tensors : iterable
        Tensors that were allocated earlier.
    """

    def __init__(self, tensors):
        super().__init__()
        self.sizes = {}
        for tensor in tensors:
            self.add(tensor)
        self.start = self.peak = sum(self.sizes.values())
        self.now = self.start

    def add(self, tensor):
        """Count a tensor until its storage is freed; return the added bytes."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.sizes:
            return 0
        self.sizes[key] = storage.nbytes()
        weakref.finalize(storage, self.remove, key)
        return self.sizes[key]

    def remove(self, key):
        """Subtract the bytes of a freed storage."""
        self.now -= self.sizes.pop(key)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, torch.Tensor):
                self.now += self.add(leaf)
        self.peak = max(self.peak, self.now)
        return output


def build(stage, vocoder, precision, size, folder):
    """Return the Brain of a stage with random weights."""
    overrides = {}
    if vocoder:
        overrides["vocoder"] = f"!include:models/vocoder/{vocoder}.yaml"
    hparams, _ = reference.load_experiment(stage, size, folder, **overrides)
    if stage == "vocoder":
        hparams["cleaner"].requires_grad_(False)
    brain = hparams["brain"](
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts={"device": "cpu", "precision": precision},
        checkpointer=hparams["checkpointer"],
    )
    brain.init_optimizers()
    brain.modules.train()
    if stage == "vocoder":  # train on restored features
        brain.optimizer_step = hparams["pretrain_steps"]
    return brain


def step(brain, clips, seconds):
    """Train on one batch of noise."""
    from speechbrain.dataio.batch import PaddedBatch

    wav = 0.1 * torch.randn(round(seconds * RATE))
    item = {"id": "a", "kind": "all", "cut": 0.5, "bandwidth": RATE / 2}
    item |= {"clean": wav, "noisy": wav, "target": wav}
    brain.step += 1
    brain.fit_batch(PaddedBatch([dict(item) for _ in range(clips)]))


def persistent_tensors(brain):
    """Yield weights, gradients, buffers and optimizer states."""
    for parameter in brain.modules.parameters():
        yield parameter
        if parameter.grad is not None:
            yield parameter.grad
    yield from brain.modules.buffers()
    for optimizer in brain.optimizers_dict.values():
        for state in optimizer.state.values():
            yield from state.values()


def measure(stage, vocoder, precision, seconds, clips, size):
    """Return parameter counts, bytes of memory and FLOPs of a training step."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference.save_backbone(size, folder / "backbone")
        brain = build(stage, vocoder, precision, size, folder)
    step(brain, 1, 0.7)  # creates the optimizer states
    with (
        LiveBytes(persistent_tensors(brain)) as live,
        FlopCounterMode(display=False) as count,
    ):
        step(brain, clips, seconds)
    parameters = list(brain.modules.parameters())
    return {
        "frozen": sum(p.numel() for p in parameters if not p.requires_grad),
        "trained": sum(p.numel() for p in parameters if p.requires_grad),
        "start": live.start,
        "peak": live.peak,
        "flops": count.get_total_flops(),
    }


def main(size):
    """Measure every case in separate processes and print the table."""
    columns = [f"GiB, batch of {batch}" for batch in BATCHES]
    print(
        "| stage | vocoder | precision | clip | trained | TFLOP per clip |",
        end="",
    )
    print("".join(f" {column} |" for column in columns))
    print("|---" * (6 + len(columns)) + "|")
    for case in CASES:
        stage, vocoder, precision, seconds = case
        one, two = (
            json.loads(
                subprocess.run(
                    [
                        sys.executable,
                        __file__,
                        json.dumps([*case, clips, size]),
                    ],
                    check=True,
                    stdout=subprocess.PIPE,
                ).stdout
            )
            for clips in (1, 2)
        )
        clip = two["peak"] - one["peak"]
        peaks = [(one["peak"] + clip * (batch - 1)) / GIB for batch in BATCHES]
        flops = (two["flops"] - one["flops"]) / 1e12
        print(
            f"| {stage} | {vocoder or '-'} | {precision} | {seconds:g} s | "
            f"{one['trained'] / 1e6:.1f} M | {flops:.2f} |"
            + "".join(f" {peak:.1f} |" for peak in peaks),
            flush=True,
        )


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("["):
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
    else:
        main(*(sys.argv[1:] or ["hubert-large"]))
