"""Compare the restoration speed of this package with a reference.

    python benchmarks/restore.py --data SPEECH > tables.md

With the same weights, both systems restore the same files: clips of 2 to 40 s
and one recording of an hour. The reference processes one complete file at a
time in fp32; it runs all layers with transformers, followed by the vocoder. The
engine of ``miipher2 restore`` runs in fp32 and in the fastest precision of the
device. By default, the models are the compact model, and HuBERT-large with a
full-size HiFi-GAN and random weights.

Prints Markdown tables of the speed and peak memory, of the time of each part of
the model with its GFLOP/s relative to the limit of the device, of the
difference between the outputs, and of the speed-up and its target. Each system
is measured in a separate process. For a short run, use
``--clips 4 --long-seconds 60 --repeats 1``.

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
import reference
import timing
from reference import ROOT, SIZES
from restore_report import report
from restore_systems import Engine, Reference

SECONDS = (2.0, 40.0)
COUNTED_SECONDS = 20.0
REST = "I/O and the rest"


# --------------------------------------------------------------------- jobs


def inputs(job):
    """Write the recordings."""
    folder, chunks = Path(job["folder"]), reference.speech_chunks(job["data"])
    shortest, longest = SECONDS
    step = (longest - shortest) / max(1, job["clips"] - 1)
    seconds = [shortest + step * index for index in range(job["clips"])]
    write = reference.write_recording
    for index, duration in enumerate(seconds):
        write(folder / "clips" / f"{index:03d}.wav", chunks, duration)
    write(folder / "warm-up" / "clip.wav", chunks, 3.0)
    write(folder / "long" / "a.wav", chunks, job["long_seconds"])
    chunks = reference.speech_chunks(str(folder / "long"))
    short = folder / "long-reference" / "a.wav"
    write(short, chunks, job["reference_long_seconds"])
    yield {"clips": job["clips"], "seconds": sum(seconds)}


def model(job):
    """Build or find the model folder; save the modules of the reference."""
    import torch

    from miipher2.inference.model_folder import find_model
    from miipher2.inference.precision import best_precision
    from miipher2.training.experiment import load_hparams

    folder, name = Path(job["folder"]), job["model"]
    if name in SIZES:
        experiment = folder / name
        source = experiment / "backbone"
        reference.save_backbone(name, source)
        hparams, overrides = reference.load_experiment(
            "vocoder", name, experiment
        )
        randomise(hparams)
        stage = str(ROOT / "hparams/vocoder.yaml")
        hparams["export"](hparams, stage, overrides)
        model_folder = experiment / "vocoder" / "model"
    else:
        model_folder = find_model(name)
        source = model_folder / "backbone"
    hparams = load_hparams(
        model_folder / "hyperparams.yaml", {"model_folder": str(model_folder)}
    )
    cleaner, generator = hparams["cleaner"], hparams["generator"]
    cleaner.loader(model_folder / "cleaner.safetensors")
    generator.load(model_folder / "vocoder.safetensors")
    generator.eval()
    if hasattr(generator, "generator"):  # SpeechBrain's HiFi-GAN
        generator = generator.generator
        generator.remove_weight_norm()
        for module in generator.modules():  # these hooks cannot be pickled
            module._load_state_dict_pre_hooks.clear()
    adapters = [
        (adapter.adapter_down_proj, adapter.adapter_up_proj)
        for adapter in cleaner.adapters
    ]
    torch.save((adapters, generator), folder / "reference.pt")
    yield {
        "model": str(model_folder),
        "source": str(source),
        "best": best_precision(job["device"]),
        "machine": timing.describe_machine(job["device"]),
    }


def randomise(hparams):
    """Change the weights so that adapters and input affect the output."""
    import torch

    torch.manual_seed(0)
    for adapter in hparams["cleaner"].adapters:
        torch.nn.init.normal_(adapter.adapter_up_proj.weight, std=0.02)
    for parameter in hparams["generator"].parameters():
        parameter.data *= 1.5


def measure(job):
    """Measure one system on the clips (also by part) and the long recording."""
    folder, output = Path(job["folder"]), Path(job["output"])
    device, seconds = job["device"], job["seconds"]
    start = time.perf_counter()
    systems = {"reference": Reference, "engine": Engine}
    system = systems[job["system"]](job)
    yield {"load": time.perf_counter() - start}
    system(folder / "warm-up", output / "warm-up")
    speeds, cpu_seconds = [], []
    for _ in range(job["repeats"]):
        start, cpu = time.perf_counter(), sum(timing.processor_seconds())
        system(folder / "clips", output / "clips")
        speeds.append(seconds / (time.perf_counter() - start))
        cpu = sum(timing.processor_seconds()) - cpu
        cpu_seconds.append(cpu / seconds)
    yield {
        "clips": timing.median_and_range(speeds),
        "cpu seconds": statistics.median(cpu_seconds),
        "peak": timing.peak_gib(device),
    }
    now = timing.device_clock(device)
    with timing.Clock(now).timing(system.parts()) as clock:
        start = now()
        system(folder / "clips", output / "timed")
        total = now() - start
    parts = {**clock.spent, REST: total - sum(clock.spent.values())}
    yield {"parts": {name: part / seconds for name, part in parts.items()}}
    yield {"gflop": count_gflop(system)}
    yield {"limit": timing.peak_gflops(device, job["precision"])}
    yield measure_long(system, job)


def measure_long(system, job):
    """Measure speed and memory on the long recording, if memory suffices."""
    short = job["system"] == "reference"
    source = "long-reference" if short else "long"
    start = time.perf_counter()
    try:
        system(Path(job["folder"], source), Path(job["output"], "long"))
    except (RuntimeError, MemoryError) as error:
        if not timing.is_out_of_memory(error):
            raise
        return {"failed": "out of memory"}
    spent = time.perf_counter() - start
    return {
        "long": job["long_seconds"] / spent,
        "peak long": timing.peak_gib(job["device"]),
    }


def count_gflop(system):
    """Return the GFLOP of each part per second of audio."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    wavs = 0.1 * torch.randn(1, round(COUNTED_SECONDS * reference.RATE))
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),  # fused CPU kernels are not counted
        FlopCounterMode(display=False) as counter,
        timing.Clock(counter.get_total_flops).timing(system.parts()) as clock,
    ):
        system.restore(wavs)
    return {
        name: 1e-9 * flop / COUNTED_SECONDS
        for name, flop in clock.spent.items()
    }


def compare(job):
    """Measure the difference between engine and reference outputs."""
    import numpy
    import soundfile

    try:
        from pesq import pesq
    except ImportError:
        pesq = None
    snr, scores = {"one window": [], "several windows": []}, []
    for path in sorted(Path(job["reference"]).glob("*.wav")):
        target, rate = soundfile.read(path)
        other, _ = soundfile.read(Path(job["engine"], path.name))
        assert target.shape == other.shape, path
        # The engine restores the level of the input, but the reference does not
        power = (target**2).mean()
        gain = numpy.sqrt(power / max(1e-20, (other**2).mean()))
        error = ((target - gain * other) ** 2).mean()
        ratio = error / max(1e-20, power)
        single = len(target) / rate <= job["window_seconds"]
        kind = "one window" if single else "several windows"
        snr[kind].append(-10 * numpy.log10(max(1e-20, ratio)))
        if pesq and job["trained"] and rate == reference.RATE:
            scores.append(pesq(rate, target, other, "wb"))
    medians = {k: float(numpy.median(v)) for k, v in snr.items() if v}
    if scores:
        medians["pesq"] = [float(numpy.mean(scores)), float(min(scores))]
    yield medians


JOBS = {
    "inputs": inputs,
    "model": model,
    "measure": measure,
    "compare": compare,
}


# --------------------------------------------------------------------- main


def run(arguments, folder):
    """Measure all models.

    Arguments
    ---------
    arguments : argparse.Namespace
        Parsed command line.
    folder : Path
        Folder for all outputs.

    Returns
    -------
    dict
        ``machine``; ``seconds``, the total duration of the clips;
        ``reference_seconds``, the duration of the long recording for the
        reference; and ``models``, the measurements by model, system and
        precision.
    """
    execute = jobs.runner(
        __file__, ("measure",), folder=str(folder), device=arguments.device
    )
    long_seconds = {
        "engine": arguments.long_seconds,
        "reference": arguments.reference_long_seconds or arguments.long_seconds,
    }
    written = execute(
        "inputs",
        data=arguments.data,
        clips=arguments.clips,
        long_seconds=long_seconds["engine"],
        reference_long_seconds=long_seconds["reference"],
    )
    models = {}
    for name in arguments.models:
        print(f"{name} ...", file=sys.stderr, flush=True)
        built = execute("model", model=name)
        common = {
            "seconds": written["seconds"],
            "repeats": arguments.repeats,
            "limit": arguments.limit,
        }
        outputs = folder / "out" / name.replace("/", "_")
        models[name] = measure_model(
            execute, name, built, outputs, long_seconds, common
        )
    return {
        "machine": built["machine"],
        "seconds": written["seconds"],
        "reference_seconds": long_seconds["reference"],
        "models": models,
    }


def measure_model(execute, name, built, outputs, long_seconds, common):
    """Measure the reference and the engine with one model.

    Arguments
    ---------
    execute : callable
        Function that runs a job.
    name : str
        Name of the model.
    built : dict
        Results of the job ``model``.
    outputs : Path
        Folder for the restored recordings.
    long_seconds : dict
        Duration of the long recording in seconds, by system.
    common : dict
        Arguments of every measurement.

    Returns
    -------
    dict
        Measurements by system and precision.
    """
    systems = [("reference", "fp32")]
    for precision in dict.fromkeys(("fp32", built["best"])):
        systems.append(("engine", precision))
    results = {}
    for system, precision in systems:
        title = f"{system}, {precision}"
        figures = execute(
            "measure",
            system=system,
            precision=precision,
            output=str(outputs / title),
            model=built["model"],
            source=built["source"],
            long_seconds=long_seconds[system],
            **common,
        )
        if "clips" not in figures:
            raise SystemExit(f"{name}, {title}: {figures['failed']}")
        if system == "engine":
            figures["difference"] = execute(
                "compare",
                reference=str(outputs / "reference, fp32" / "clips"),
                engine=str(outputs / title / "clips"),
                window_seconds=COUNTED_SECONDS,
                trained=name not in SIZES,
            )
        results[title] = figures
        print(f"  {title}: {figures}", file=sys.stderr, flush=True)
    return results


def main(arguments=None):
    """Parse the command line, measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    jobs.add_options(parser)
    parser.add_argument(
        "--models",
        nargs="+",
        default=["compact", "hubert-large"],
        metavar="MODEL",
        help=f"compact, a model folder, {' or '.join(SIZES)}",
    )
    parser.add_argument(
        "--clips", type=int, default=12, metavar="N", help="number of clips"
    )
    parser.add_argument(
        "--long-seconds",
        type=float,
        default=3600.0,
        metavar="S",
        help="duration of the long recording",
    )
    parser.add_argument(
        "--reference-long-seconds",
        type=float,
        metavar="S",
        help="duration of the long recording for the reference; default: "
        "--long-seconds",
    )
    arguments = parser.parse_args(arguments)
    if arguments.job:
        jobs.run_job(JOBS, arguments.job)
        return
    with tempfile.TemporaryDirectory() as folder:
        results = run(arguments, Path(folder))
    print(report(results, arguments))


if __name__ == "__main__":
    main()
