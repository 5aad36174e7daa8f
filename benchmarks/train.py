"""How fast training is: the plain way, and this package's steps.

    python benchmarks/train.py --data SPEECH > tables.md

Both stages, from their YAML, on HuBERT-large (random weights) with a full-size
HiFi-GAN and its discriminators, on the same batches. The plain way is in fp32
and runs the whole backbone with all its hidden states: in stage 1 in two full
passes, of degraded and of clean speech; in stage 2 in one, and the
discriminators as HiFi-GAN's recipes do, twice on the true sound and on the made
one, with all gradients. It computes the same loss. Loading is not counted.

Prints a table in Markdown: steps a second and peak memory, each line from a
process of its own. Smaller: ``--size hubert-tiny --batch-size 2``.

Authors
 * The miipher2 authors 2026
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import jobs
import plain_way
import speed
from plain_way import SIZES
from speed import markdown

# The plain way has a backbone of its own: that of the YAML is one layer of the
# right width.
THIN = """
source: !new:transformers.HubertConfig
    hidden_size: {width}
    num_hidden_layers: 1
    num_attention_heads: 1
    intermediate_size: 8
    conv_dim: [8, 8, 8, 8, 8, 8, 8]
    feat_extract_norm: layer
    num_conv_pos_embeddings: 2
layer: 1
"""
STAGES = {"1, adapters": "pa", "2, vocoder": "vocoder"}
# Clips in a batch: 16 in both YAMLs, of which 10 s each want more memory than
# many machines have
BATCHES = {"pa": 4, "vocoder": 16}


# --------------------------------------------------------------------- jobs


def corpus(job):
    """Writes a corpus and the backbone."""
    folder, pieces = Path(job["folder"]), plain_way.sounds(job["data"])
    clips = job["batch_size"]  # a batch has no clip twice
    for split, speakers in (("train", clips), ("valid", 1), ("test", 1)):
        for speaker in range(speakers):
            path = folder / "speech" / split / f"{split}{speaker}" / "a.wav"
            plain_way.write_sound(path, pieces, job["seconds"] + 2.0)
    plain_way.save_backbone(job["size"], folder / "backbone")
    yield {"machine": speed.machine(job["device"])}


def batches(job):
    """Loads batches as the stage's YAML has it, for both ways."""
    import torch

    folder, stage = Path(job["folder"]), job["stage"]
    hparams = load(job, train_csv=folder / "train.csv")
    hparams["prepare"](
        hparams["data_folder"],
        hparams["train_csv"],
        hparams["valid_csv"],
        hparams["test_csv"],
    )
    loader = iter(hparams["train_loader"](hparams["train_set"]()))
    keys = ("id", "kind", "clean", "noisy", "target", "cut")
    made = []
    for _ in range(job["steps"] + 1):
        batch = next(loader)
        columns = [getattr(batch, key) for key in keys]
        columns = [getattr(column, "data", column) for column in columns]
        made.append(
            [
                {**dict(zip(keys, row, strict=True)), "cut": float(row[-1])}
                for row in zip(*columns, strict=True)
            ]
        )
    torch.save(made, folder / f"{stage}.pt")
    if stage == "pa":  # where stage 2 looks for adapters
        hparams["export"](hparams, None, None)
    else:  # both ways start from the same weights
        names = ("generator", "discriminator")
        started = {name: hparams[name].state_dict() for name in names}
        torch.save(started, folder / "started.pt")
    yield {
        "batch_size": job["batch_size"],
        "segment": hparams["segment_seconds"],
    }


def load(job, **overrides):
    """The stage's experiment."""
    stage = job["stage"]
    values = {
        "batch_size": job["batch_size"],
        "segment_seconds": job["seconds"],
        "num_workers": 0,
        "noise_csv": "null",
        "valid_noise_csv": "null",
        "rir_csv": "null",
        "valid_rir_csv": "null",
        **overrides,
    }
    folder = Path(job["folder"])
    hparams, _ = plain_way.experiment(stage, job["size"], folder, **values)
    return hparams


class Ours:
    """The Brain of the stage's YAML."""

    def __init__(self, job):
        import torch

        from miipher2.training.experiment import load_cleaner

        hparams = load(job)
        if job["stage"] == "vocoder":
            load_cleaner(hparams["cleaner"], hparams["cleaner_folder"])
            started = torch.load(Path(job["folder"], "started.pt"))
            for name, tensors in started.items():
                hparams[name].load_state_dict(tensors)
        self.brain = hparams["brain"](
            modules=hparams["modules"],
            opt_class=hparams["opt_class"],
            hparams=hparams,
            run_opts={"device": job["device"], "precision": job["precision"]},
            checkpointer=hparams["checkpointer"],
        )
        self.brain.init_optimizers()
        self.brain.modules.train()
        if job["stage"] == "vocoder":  # on what the adapters give
            self.brain.optimizer_step = hparams["pretrain_steps"]

    def step(self, items):
        """One step on a batch."""
        from speechbrain.dataio.batch import PaddedBatch

        self.brain.step += 1
        return float(self.brain.fit_batch(PaddedBatch(items)))


class Plain:
    """The same step as it is usually written.

    Arguments
    ---------
    job : dict
        Stage, size, device.
    """

    def __init__(self, job):
        import torch

        torch.manual_seed(0)
        self.device, chosen = job["device"], SIZES[job["size"]]
        width, between = chosen["config"]["hidden_size"], chosen["bottleneck"]
        adapters = [
            (torch.nn.Linear(width, between), torch.nn.Linear(between, width))
            for _ in range(chosen["layer"])
        ]
        for _, up in adapters:
            torch.nn.init.zeros_(up.weight)
            torch.nn.init.zeros_(up.bias)
        folder = Path(job["folder"])
        self.backbone = plain_way.PlainBackbone(
            folder / "backbone", adapters, self.device
        )
        self.parameters = [
            parameter
            for pair in adapters
            for projection in pair
            for parameter in projection.parameters()
        ]

    def optimizer(self, parameters, betas):
        """AdamW as in the YAML."""
        import torch

        return torch.optim.AdamW(
            parameters, lr=2e-4, betas=betas, weight_decay=0.01
        )

    def stack(self, items, key):
        """The clips of a batch, padded."""
        from torch.nn.utils.rnn import pad_sequence

        clips = [item[key] for item in items]
        return pad_sequence(clips, batch_first=True).to(self.device)


class PlainAdapters(Plain):
    """Stage 1: two passes of the whole backbone."""

    def __init__(self, job):
        from miipher2.training.losses import FeatureLoss

        super().__init__(job)
        self.loss = FeatureLoss()
        self.optimizers = [self.optimizer(self.parameters, (0.9, 0.98))]

    def step(self, items):
        """One step on a batch."""
        import torch

        with torch.no_grad():
            self.switch(False)
            target = self.backbone(self.stack(items, "clean"))
            self.switch(True)
        predicted = self.backbone(self.stack(items, "noisy"))
        loss = self.loss(predicted, target)["loss"].mean()
        (optimizer,) = self.optimizers
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        optimizer.step()
        return float(loss.detach())

    def switch(self, enabled):
        """Switches the adapters."""
        for adapter in self.backbone.adapters:
            adapter.enabled = enabled


class PlainVocoder(Plain):
    """Stage 2: the whole backbone, then HiFi-GAN as its recipes train it."""

    def __init__(self, job):
        import torch

        super().__init__(job)
        folder = Path(job["folder"])
        width = SIZES[job["size"]]["config"]["hidden_size"]
        (folder / "thin.yaml").write_text(THIN.format(width=width))
        hparams = load(
            job,
            ssl=f"!include:{folder / 'thin.yaml'}",
            ssl_source=None,
            ssl_layer=1,
        )
        started = torch.load(folder / "started.pt")
        for name, tensors in started.items():
            hparams[name].load_state_dict(tensors)
        generator = hparams["generator"]
        self.hop = generator.hop_length
        self.frames = hparams["vocoder_frames"]
        self.generator = generator.generator.to(self.device).train()
        self.discriminator = hparams["discriminator"].to(self.device)
        self.generator_loss = hparams["generator_loss"].to(self.device)
        self.discriminator_loss = hparams["discriminator_loss"]
        self.optimizers = [
            self.optimizer(network.parameters(), (0.8, 0.99))
            for network in (self.generator, self.discriminator)
        ]

    def step(self, items):
        """One step on a batch."""
        import speechbrain as sb
        import torch

        with torch.no_grad():
            features = self.backbone(self.stack(items, "noisy"))
        target = self.stack(items, "target")
        starts = [
            int(item["cut"] * (features.shape[1] - self.frames + 1))
            for item in items
        ]
        features = torch.stack(
            [
                clip[start : start + self.frames]
                for clip, start in zip(features, starts, strict=True)
            ]
        )
        size = self.frames * self.hop
        target = torch.stack(
            [
                clip[start * self.hop :][:size]
                for clip, start in zip(target, starts, strict=True)
            ]
        )[:, None]
        made = self.generator(features.transpose(1, 2))
        of_generator, of_discriminator = self.optimizers

        made_scores, _ = self.discriminator(made.detach())
        true_scores, _ = self.discriminator(target)
        losses = self.discriminator_loss(made_scores, true_scores)
        of_discriminator.zero_grad()
        losses["D_loss"].backward()
        of_discriminator.step()

        made_scores, made_features = self.discriminator(made)
        _, true_features = self.discriminator(target)
        losses = self.generator_loss(
            sb.Stage.TRAIN,
            made,
            target,
            made_scores,
            made_features,
            [[one.detach() for one in layer] for layer in true_features],
        )
        of_generator.zero_grad()
        losses["G_loss"].backward()
        of_generator.step()
        return float(losses["G_loss"].detach())


WAYS = {
    ("plain", "pa"): PlainAdapters,
    ("plain", "vocoder"): PlainVocoder,
    ("ours", "pa"): Ours,
    ("ours", "vocoder"): Ours,
}


def measure(job):
    """Times steps of one way."""
    import torch

    if job["device"] == "cpu" and job["way"] == "plain":
        speed.spare_the_machine()
    folder = Path(job["folder"])
    loaded = torch.load(folder / f"{job['stage']}.pt", weights_only=False)
    now, found = speed.seconds_on(job["device"]), []
    cores, losses = [], []
    try:
        way = WAYS[job["way"], job["stage"]](job)
        first, *others = loaded
        losses.append(way.step(first))
        for items in others:
            start, cpu = now(), time.process_time()
            losses.append(way.step(items))
            found.append(now() - start)
            cores.append(time.process_time() - cpu)
            yield {
                "seconds": speed.spread(found),
                "cores": statistics.median(cores),
                "peak": speed.peak_gib(job["device"]),
                "losses": losses,
            }
    except (RuntimeError, MemoryError) as error:
        if not speed.out_of_memory(error):
            raise
        yield {"failed": "out of memory"}
    yield {"limit": speed.device_limit(job["device"], job["precision"])}


def best(job):
    """The fastest precision of the device."""
    from miipher2.inference.corpus.sharding import best_precision

    yield {"best": best_precision(job["device"])}


JOBS = {"corpus": corpus, "batches": batches, "measure": measure, "best": best}


# -------------------------------------------------------------------- table


def run(arguments, folder):
    """Measures both stages; gives the lines of the table and the machine."""

    def do(name, limit=None, **job):
        figures = jobs.apart(
            __file__,
            {
                "job": name,
                "folder": str(folder),
                "device": arguments.device,
                "size": arguments.size,
                **job,
            },
            limit,
        )
        if "failed" in figures and name != "measure":
            raise SystemExit(f"{name}: {figures['failed']}")
        return figures

    seconds = {
        "pa": arguments.segment_seconds,
        "vocoder": min(4.0, arguments.segment_seconds),
    }
    sizes = {stage: arguments.batch_size or BATCHES[stage] for stage in BATCHES}
    machine = do(
        "corpus",
        data=arguments.data,
        seconds=max(seconds.values()),
        batch_size=max(sizes.values()),
    )
    fastest = do("best")["best"]
    rows = []
    for title, stage in STAGES.items():
        print(f"{title} ...", file=sys.stderr, flush=True)
        kept = {
            "stage": stage,
            "seconds": seconds[stage],
            "batch_size": sizes[stage],
        }
        do("batches", steps=arguments.repeats, **kept)
        ways = [("plain", "fp32")]
        ways += [("ours", one) for one in dict.fromkeys(("fp32", fastest))]
        base = None
        for way, precision in ways:
            found = do(
                "measure",
                arguments.limit,
                way=way,
                precision=precision,
                **kept,
            )
            print(f"  {way}, {precision}: {found}", file=sys.stderr, flush=True)
            spent = found.get("seconds")
            base = spent["median"] if way == "plain" and spent else base
            gain = base / spent["median"] if base and spent else None
            rows.append(
                [
                    title,
                    f"{way}, {precision}",
                    f"{sizes[stage]} x {seconds[stage]:g} s",
                    1 / spent["median"] if spent else found["failed"],
                    spent
                    and "{median:.3g} ({lowest:.3g} to {highest:.3g})".format(
                        **spent
                    ),
                    found.get("cores"),
                    speed.memory(found.get("peak")),
                    gain,
                    found["losses"][0] if spent else None,
                ]
            )
    return rows, machine["machine"]


def report(rows, machine, arguments):
    """The table, as Markdown."""
    least = 3 if arguments.device == "cpu" else None
    blocks = [
        f"{machine}, {arguments.device}. {arguments.size}; the median of "
        f"{arguments.repeats} steps. Memory: resident"
        + (", and of the GPU." if arguments.device != "cpu" else "."),
        markdown(
            [
                "stage",
                "way",
                "batch",
                "steps a second",
                "s a step",
                "processor s a step",
                "GiB",
                "times plain",
                "first loss",
            ],
            rows,
        ),
    ]
    if least:
        lines = []
        for title in STAGES:
            gains = [row[7] for row in rows if row[0] == title and row[7]]
            met = "-"
            if gains:
                met = "yes" if max(gains) >= least else "**no**"
            lines.append([title, f">= {least}", max(gains, default=None), met])
        blocks.append(
            markdown(["times plain, stage", "wanted", "found", "met"], lines)
        )
    return "\n\n".join(blocks) + "\n"


def main(arguments=None):
    """Reads the command line, measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    jobs.common_options(parser)
    parser.add_argument("--size", choices=SIZES, default="hubert-large")
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="clips in a batch; default: 4 in stage 1, 16 in stage 2",
    )
    parser.add_argument(
        "--segment-seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="of stage 1; of stage 2 at most 4",
    )
    arguments = parser.parse_args(arguments)
    if arguments.job:
        jobs.run_job(JOBS, arguments.job)
        return
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        rows, machine = run(arguments, Path(folder))
    print(report(rows, machine, arguments))
    print(f"{time.time() - start:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
