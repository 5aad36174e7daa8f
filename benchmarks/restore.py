"""How fast restoring is: (a) the plain way, and (b) this package's engine.

    python benchmarks/restore.py --data SPEECH > tables.md

Of the same weights and files, clips of 2 to 40 s and one recording of an hour:
(a) takes file by file, whole, in fp32, runs all layers by transformers with
all their hidden states and then the vocoder; (b) is what ``miipher2 restore``
does, in fp32 and in the fastest precision of the device. The models: compact,
which comes along, and HuBERT-large with a full-size HiFi-GAN, whose weights are
random and whose folder is what training exports.

Prints tables in Markdown: speed and peak memory, where the time goes beside
what the device could do at best, and how far the outputs are apart. Each line
is a process of its own. Smaller: ``--clips 4 --long-seconds 60 --repeats 1``.

Authors
 * The miipher2 authors 2026
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import jobs
import plain_way
import speed
from plain_way import ROOT, SIZES
from speed import markdown

SECONDS = (2.0, 40.0)
COUNTED_SECONDS = 20.0
PARTS = ("front-end", "layers", "layers above", "adapters", "vocoder")
REST = "I/O and the rest"


# --------------------------------------------------------------------- jobs


def inputs(job):
    """Writes the recordings."""
    folder, pieces = Path(job["folder"]), plain_way.sounds(job["data"])
    shortest, longest = SECONDS
    step = (longest - shortest) / max(1, job["clips"] - 1)
    seconds = [shortest + step * index for index in range(job["clips"])]
    for index, duration in enumerate(seconds):
        path = folder / "clips" / f"{index:03d}.wav"
        plain_way.write_sound(path, pieces, duration)
    plain_way.write_sound(folder / "warm" / "clip.wav", pieces, 3.0)
    plain_way.write_sound(
        folder / "long" / "a.wav", pieces, job["long_seconds"]
    )
    plain = folder / "long plain" / "a.wav"
    pieces = plain_way.sounds(str(folder / "long"))
    plain_way.write_sound(plain, pieces, job["plain_long_seconds"])
    yield {"clips": job["clips"], "seconds": sum(seconds)}


def model(job):
    """Makes the folder of a model, and what the plain way takes of it."""
    import torch

    from miipher2.inference.corpus.sharding import best_precision
    from miipher2.inference.model_folder import find_model
    from miipher2.training.experiment import load_hparams

    folder, name = Path(job["folder"]), job["model"]
    if name in SIZES:
        home = folder / name
        source = home / "backbone"
        plain_way.save_backbone(name, source)
        hparams, overrides = plain_way.experiment("vocoder", name, home)
        randomise(hparams)
        stage = str(ROOT / "hparams/vocoder.yaml")
        hparams["export"](hparams, stage, overrides)
        made = home / "vocoder" / "model"
    else:
        made = find_model(name)
        source = made / "backbone"
    hparams = load_hparams(
        made / "hyperparams.yaml", {"model_folder": str(made)}
    )
    cleaner, generator = hparams["cleaner"], hparams["generator"]
    cleaner.loader(made / "cleaner.safetensors")
    generator.load(made / "vocoder.safetensors")
    generator.eval()
    if hasattr(generator, "generator"):  # SpeechBrain's own HiFi-GAN
        generator = generator.generator
        generator.remove_weight_norm()
        for module in generator.modules():  # weight norm leaves some there
            module._load_state_dict_pre_hooks.clear()
    adapters = [
        (adapter.adapter_down_proj, adapter.adapter_up_proj)
        for adapter in cleaner.adapters
    ]
    torch.save((adapters, generator), folder / "plain.pt")
    yield {
        "model": str(made),
        "source": str(source),
        "best": best_precision(job["device"]),
        "machine": speed.machine(job["device"]),
    }


def randomise(hparams):
    """Lets the adapters do something, and the vocoder hear its input."""
    import torch

    torch.manual_seed(0)
    for adapter in hparams["cleaner"].adapters:
        torch.nn.init.normal_(adapter.adapter_up_proj.weight, std=0.02)
    # Fresh weights hum the same whatever comes in; these do not.
    for parameter in hparams["generator"].parameters():
        parameter.data *= 1.5


class Plain:
    """What is usually done, file by file."""

    def __init__(self, job):
        import torch

        if job["device"] == "cpu":
            speed.spare_the_machine()
        path = Path(job["folder"], "plain.pt")
        adapters, generator = torch.load(path, weights_only=False)
        self.device = job["device"]
        source = Path(job["source"])
        self.backbone = plain_way.PlainBackbone(source, adapters, self.device)
        self.generator = generator.to(self.device)

    def __call__(self, folder, output):
        import soundfile
        import torch

        from miipher2.dataio.speech_level import SpeechLevel

        output.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.wav")):
            wav, rate = soundfile.read(path, dtype="float32")
            gain = SpeechLevel.of(wav, rate).gain()  # as (b) measures it
            heard = torch.from_numpy(wav) * gain
            with torch.no_grad():
                made = self.speak(heard[None]).cpu().numpy()
            soundfile.write(output / path.name, made[0, : len(wav)], rate)

    def speak(self, wavs):
        """Restores ``(batch, time)``."""
        features = self.backbone(wavs)
        if not hasattr(self.generator, "inference"):
            return self.generator(features, wavs)[0]
        made = self.generator.inference(features.transpose(1, 2))[:, 0]
        frames = features.shape[1] + 2 * self.generator.inference_padding
        ends = self.generator.inference_padding * made.shape[1] // frames
        return made[:, ends:-ends]

    def parts(self):
        """What is counted: part, object, method."""
        network = self.backbone.model
        front_end = (
            network.feature_extractor,
            network.feature_projection,
            network.encoder.pos_conv_embed,
        )
        used = self.backbone.layer
        return [
            *(("front-end", module, "forward") for module in front_end),
            *(
                (PARTS[1 + (index >= used)], layer, "forward")
                for index, layer in enumerate(network.encoder.layers)
            ),
            *(("adapters", a, "change") for a in self.backbone.adapters),
            ("vocoder", self.generator, "forward"),
        ]


class Engine:
    """What ``miipher2 restore`` does."""

    def __init__(self, job):
        from miipher2.inference.restorer import Restorer

        run_opts = {"device": job["device"], "precision": job["precision"]}
        self.restorer = Restorer.from_hparams(job["model"], run_opts=run_opts)

    def __call__(self, folder, output):
        from miipher2.inference.corpus import local
        from miipher2.inference.corpus.inputs import list_items
        from miipher2.inference.job import Settings

        rows = []
        local.run(
            list_items([str(folder)], output, ".wav"),
            Settings(self.restorer.sample_rate),
            rows.append,
            lambda size, seconds: None,
            argparse.Namespace(
                output=output,
                format="wav",
                workers=min(8, os.cpu_count() or 1),
                batch_seconds=None,
            ),
            self.restorer,
        )
        lost = [row for row in rows if row.status != "done"]
        if lost:
            raise RuntimeError(f"{lost[0].input}: {lost[0].reason}")

    def speak(self, wavs):
        """Restores ``(batch, time)``, a window."""
        return self.restorer.restore_windows(wavs)[0]

    def parts(self):
        """What is counted: part, object, method."""
        cleaner = self.restorer.mods.cleaner
        backbone, generator = (
            cleaner.adapted_model,
            self.restorer.mods.generator,
        )
        return [
            ("front-end", backbone, "embed"),
            *(
                ("layers", backbone.get_submodule(site), "forward")
                for site in backbone.layer_sites()
            ),
            *(
                ("adapters", getattr(adapter, name), "forward")
                for adapter in cleaner.adapters
                for name in (
                    "adapter_down_proj",
                    "activation",
                    "adapter_up_proj",
                )
            ),
            ("vocoder", generator, "forward"),
            ("vocoder", generator, "synthesise"),
        ]


def measure(job):
    """Times a way of restoring; says where the time goes."""
    import torch

    folder, output = Path(job["folder"]), Path(job["output"])
    device, seconds = job["device"], job["seconds"]
    start = time.perf_counter()
    way = {"plain": Plain, "engine": Engine}[job["way"]](job)
    yield {"load": time.perf_counter() - start}
    way(folder / "warm", output / "warm")
    found, cores = [], []
    for _ in range(job["repeats"]):
        start, cpu = time.perf_counter(), sum(speed.processor_seconds())
        way(folder / "clips", output / "clips")
        found.append(seconds / (time.perf_counter() - start))
        cores.append((sum(speed.processor_seconds()) - cpu) / seconds)
    yield {
        "clips": speed.spread(found),
        "cores": statistics.median(cores),
        "peak": speed.peak_gib(device),
    }
    now = speed.seconds_on(device)
    with speed.Clock(now).watching(way.parts()) as clock:
        start = now()
        way(folder / "clips", output / "watched")
        whole = now() - start
    rest = {REST: whole - sum(clock.spent.values())}
    yield {
        "parts": {
            name: spent / seconds
            for name, spent in {**clock.spent, **rest}.items()
        }
    }
    yield {"gflop": gflop(way)}
    yield {"limit": speed.device_limit(device, job["precision"])}
    long = folder / ("long plain" if job["way"] == "plain" else "long")
    start = time.perf_counter()
    try:
        way(long, output / "long")
    except (RuntimeError, MemoryError) as error:
        if not speed.out_of_memory(error):
            raise
        yield {"failed": "out of memory"}
    else:
        spent = time.perf_counter() - start
        yield {
            "long": job["long_seconds"] / spent,
            "peak long": speed.peak_gib(device),
        }
    del way
    if device != "cpu":
        torch.cuda.empty_cache()


def gflop(way):
    """What each part computes for a second of sound, in GFLOP."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    wavs = 0.1 * torch.randn(1, round(COUNTED_SECONDS * plain_way.RATE))
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),  # fused ones are not all counted
        FlopCounterMode(display=False) as counter,
        speed.Clock(counter.get_total_flops).watching(way.parts()) as clock,
    ):
        way.speak(wavs)
    return {
        name: 1e-9 * flop / COUNTED_SECONDS
        for name, flop in clock.spent.items()
    }


def compare(job):
    """How far the outputs of two ways are apart."""
    import numpy
    import soundfile

    try:
        from pesq import pesq
    except ImportError:
        pesq = None
    noise, scores = {"window": [], "windows": []}, []
    for path in sorted(Path(job["plain"]).glob("*.wav")):
        plain, rate = soundfile.read(path)
        other, _ = soundfile.read(Path(job["other"], path.name))
        assert plain.shape == other.shape, path
        # one is as loud as the input, the other as the model speaks
        loudness = numpy.sqrt((plain**2).mean() / max(1e-20, (other**2).mean()))
        error = ((plain - loudness * other) ** 2).mean()
        ratio = error / max(1e-20, (plain**2).mean())
        whole = len(plain) / rate <= job["window_seconds"]
        kind = "window" if whole else "windows"
        noise[kind].append(-10 * numpy.log10(max(1e-20, ratio)))
        if pesq and job["trained"] and rate == plain_way.RATE:
            scores.append(pesq(rate, plain, other, "wb"))
    yield {
        **{
            kind: float(numpy.median(values))
            for kind, values in noise.items()
            if values
        },
        **({"pesq": spread_of(scores)} if scores else {}),
    }


def spread_of(scores):
    """Mean and lowest score."""
    return [float(sum(scores) / len(scores)), float(min(scores))]


JOBS = {
    "inputs": inputs,
    "model": model,
    "measure": measure,
    "compare": compare,
}


# ------------------------------------------------------------------- tables


def run(arguments, folder):
    """Measures all models in all ways; gives the figures.

    Arguments
    ---------
    arguments : argparse.Namespace
        From the command line.
    folder : Path
        For everything that is written.

    Returns
    -------
    dict
        Model -> way -> figures.
    """

    def do(name, limit=None, **job):
        figures = jobs.apart(
            __file__,
            {
                "job": name,
                "folder": str(folder),
                "device": arguments.device,
                **job,
            },
            limit,
        )
        if "failed" in figures and name != "measure":
            raise SystemExit(f"{name}: {figures['failed']}")
        return figures

    plain_seconds = arguments.plain_long_seconds or arguments.long_seconds
    made = do(
        "inputs",
        data=arguments.data,
        clips=arguments.clips,
        long_seconds=arguments.long_seconds,
        plain_long_seconds=plain_seconds,
    )
    results = {}
    for name in arguments.models:
        print(f"{name} ...", file=sys.stderr, flush=True)
        chosen = do("model", model=name)
        ways = {"(a) plain, fp32": ("plain", "fp32")}
        for precision in dict.fromkeys(("fp32", chosen["best"])):
            ways[f"(b) engine, {precision}"] = ("engine", precision)
        results[name] = {}
        for title, (way, precision) in ways.items():
            output = folder / "out" / f"{name} {way} {precision}"
            figures = do(
                "measure",
                arguments.limit,
                way=way,
                precision=precision,
                output=str(output),
                model=chosen["model"],
                source=chosen["source"],
                seconds=made["seconds"],
                long_seconds=(
                    plain_seconds if way == "plain" else arguments.long_seconds
                ),
                repeats=arguments.repeats,
            )
            if "clips" not in figures:
                raise SystemExit(f"{name}, {title}: {figures['failed']}")
            if way == "plain":
                first = output
            else:
                figures["apart"] = do(
                    "compare",
                    plain=str(first / "clips"),
                    other=str(output / "clips"),
                    window_seconds=COUNTED_SECONDS,
                    trained=name not in SIZES,
                )
            results[name][title] = figures
            print(f"  {title}: {figures}", file=sys.stderr, flush=True)
    return {
        "machine": chosen["machine"],
        "seconds": made["seconds"],
        "plain_seconds": plain_seconds,
        "models": results,
    }


def report(found, arguments):
    """The tables, as Markdown."""
    speeds, parts, apart, wanted = [], [], [], []
    least = 4 if arguments.device == "cpu" else 8
    for name, ways in found["models"].items():
        (_, plain), *engines = ways.items()
        base = plain["clips"]["median"]
        for title, way in ways.items():
            clips = way["clips"]
            speeds.append(
                [
                    name,
                    title,
                    way["load"],
                    "{median:.3g} ({lowest:.3g} to {highest:.3g})".format(
                        **clips
                    ),
                    way.get("long", way.get("failed")),
                    way["cores"],
                    speed.memory(way["peak"]),
                    speed.memory(way.get("peak long")),
                    clips["median"] / base,
                ]
            )
            parts += rows_of_parts(name, title, way)
        for title, way in engines:
            score = way["apart"].get("pesq")
            apart.append(
                [
                    name,
                    title,
                    way["apart"].get("window"),
                    way["apart"].get("windows"),
                    score and f"{score[0]:.2f} ({score[1]:.2f})",
                ]
            )
        best = max(way["clips"]["median"] / base for _, way in engines)
        met = "yes" if best >= least else "**no**"
        wanted.append([name, f">= {least}", best, met])
    blocks = [
        f"{found['machine']}, {arguments.device}. {arguments.clips} clips of 2 "
        f"to 40 s ({found['seconds']:.0f} s), the median of "
        f"{arguments.repeats} passes; one recording of "
        f"{arguments.long_seconds:.0f} s (plain: {found['plain_seconds']:.0f} "
        "s). Speed: seconds of sound for a second. Memory: resident"
        + (", and of the GPU." if arguments.device != "cpu" else "."),
        markdown(
            [
                "model",
                "way",
                "load, s",
                "speed, clips",
                "speed, long",
                "processor s for a s",
                "GiB, clips",
                "GiB, long",
                "times (a)",
            ],
            speeds,
        ),
        "Where the time goes, clips; limit: a large matrix product in that "
        "precision.",
        markdown(
            [
                "model",
                "way",
                "part",
                "ms for a s",
                "share, %",
                "GFLOP for a s",
                "GFLOP/s",
                "of the limit, %",
            ],
            parts,
        ),
        "Outputs of (b) beside those of (a), as loud: level of the difference "
        "below the sound, median of the clips, and PESQ, mean (lowest).",
        markdown(
            ["model", "way", "dB, to 20 s", "dB, longer", "PESQ-WB"], apart
        ),
        markdown(["times (a), clips", "wanted", "found", "met"], wanted),
    ]
    return "\n\n".join(blocks) + "\n"


def rows_of_parts(name, title, way):
    """Lines about where the time goes."""
    whole, limit, rows = sum(way["parts"].values()), way["limit"], []
    gflop = {**way["gflop"], "all": sum(way["gflop"].values())}
    for part, spent in {**way["parts"], "all": whole}.items():
        count = gflop.get(part)
        done = count and count / spent
        rows.append(
            [
                name,
                title,
                part,
                1000 * spent,
                100 * spent / whole,
                count,
                done,
                done and 100 * done / limit,
            ]
        )
    rows.append([name, title, "limit", 1000 * gflop["all"] / limit])
    rows[-1] += [None, gflop["all"], limit, 100.0]
    return rows


def main(arguments=None):
    """Reads the command line, measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    jobs.common_options(parser)
    parser.add_argument(
        "--models",
        nargs="+",
        default=["compact", "hubert-large"],
        metavar="MODEL",
        help=f"compact, a model's folder, {', '.join(SIZES)}",
    )
    parser.add_argument("--clips", type=int, default=12, metavar="N")
    parser.add_argument(
        "--long-seconds", type=float, default=3600.0, metavar="S"
    )
    parser.add_argument(
        "--plain-long-seconds",
        type=float,
        metavar="S",
        help="give the plain way less of the long recording",
    )
    arguments = parser.parse_args(arguments)
    if arguments.job:
        jobs.run_job(JOBS, arguments.job)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = run(arguments, Path(folder))
    print(report(found, arguments))


if __name__ == "__main__":
    main()
