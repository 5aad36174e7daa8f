"""Tests that the commands on the pages in ``PAGES`` run in one clone.

Commands run as written, except for the replacements in ``CHANGES`` and the
additional arguments in ``SETTINGS``, which shorten the runs. Commands in
``NOT_RUN`` are skipped. Each command runs in a new process, forked from a
process that has already imported the large packages, because importing them
for each command would take most of the time.

Authors
 * The miipher2 authors 2026
"""

import multiprocessing
import os
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from tiny_runs import ROOT

# A command that appears on two pages runs once.
PAGES = ("README", "docs/training", "docs/parts", "docs/restore")
PAGE = "\n".join((ROOT / f"{name}.md").read_text("utf-8") for name in PAGES)
COPIED = ("miipher2", "hparams", "recipes", "examples", "train.py")
CORPUS = "--data_folder=SPEECH --noise_folder=NOISE --rir_folder=RIRS"

# (text in a command, its replacement, reason)
CHANGES = [
    ("miipher2 train pa", "python train.py hparams/pa.yaml", "equivalent"),
    (
        "miipher2 train vocoder",
        "python train.py hparams/vocoder.yaml",
        "equivalent",
    ),
    (" ...", f" {CORPUS}", "the arguments that the text omits"),
    ("SPEECH", "examples/speech", "a placeholder"),
    ("NOISE ", "examples/noise ", "a placeholder"),
    ("RIRS", "examples/rirs", "a placeholder"),
    ("CLEAN NOISY", "RECORDINGS NOISY", "a placeholder"),
    ("--reference CLEAN", "--reference RECORDINGS", "a placeholder"),
    ("--model MODEL", "--model results/vocoder/1234/model", "a placeholder"),
    ("models/ssl/wavlm_large", "models/ssl/hubert_tiny", "needs a download"),
    (
        "--minutes=60",
        "--valid_clips=1",
        "takes an hour; the run ends after max_steps instead",
    ),
]

TINY = (
    "--max_steps=2 --valid_interval=2 --valid_clips=1 --batch_size=2 "
    "--segment_seconds=1 --num_workers=0 --device=cpu --noprogressbar"
)
TINY_BACKBONE = "--ssl=!include:models/ssl/hubert_tiny.yaml"
TINY_VOCODER = (
    "--vocoder=!include:models/vocoder/hifigan_small.yaml --vocoder_frames=12 "
    "--discriminator=!new:miipher2.models.discriminators.FrameDiscriminator"
)
# Arguments that shorten a run, by YAML file. An argument is not added if the
# command already sets the option.
SETTINGS = {
    "hparams/pa.yaml": f"{TINY} {TINY_BACKBONE} --valid_kinds=[all]",
    "hparams/vocoder.yaml": f"{TINY} {TINY_BACKBONE} {TINY_VOCODER}",
    "hparams/ssl.yaml": TINY,
    # The vocoder_frames of this YAML file last 1.2 s.
    "hparams/compact/vocoder.yaml": TINY.replace("seconds=1", "seconds=1.6"),
}

# Commands and options that are not tested in this file, with the reasons
NOT_RUN = {
    "pip": "installs packages; .ci/run does so in a new environment",
    "pytest": "runs this test",
    "tensorboard": "serves until Ctrl-C",
    "torchrun": "needs several GPUs",
    "--engine ray": "tested in tests/inference/corpus",
    "--num-shards": "needs several machines; tested in tests/inference/corpus",
    "prepare_libritts": "needs a corpus; tested in tests/recipes",
    "precision=bf16": "tested in tests/training",
}


PRELOADED = [
    "torch",
    "torchaudio",
    "transformers.models.hubert.modeling_hubert",
    "speechbrain.core",
    "speechbrain.lobes.models.HifiGAN",
    "scipy.signal",
    "soundfile",
]

# Variables that the Python examples assume to be defined
PYTHON = """
import torch
wav, wavs, lengths = torch.rand(16000), torch.rand(2, 16000), torch.ones(2)
"""


def code(language):
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def commands():
    """Return the commands of the bash blocks, with continued lines joined."""
    text = re.sub(r"\s*\\\n\s*", " ", "".join(code("bash")))
    return list(dict.fromkeys(text.splitlines()))


def shortened(command):
    """Apply ``CHANGES`` and ``SETTINGS`` to a command."""
    for text, other, _ in CHANGES:
        command = re.sub(
            re.escape(text) + r"(?![\w/])" * text[-1].isalnum(),
            lambda _, other=other: other,
            command + " ",
        ).strip()
    for yaml, settings in SETTINGS.items():
        if f"train.py {yaml} " in command:
            for setting in settings.split():
                if f" {setting.split('=')[0]}" not in command:
                    command += f" '{setting}'"
    return command


@pytest.fixture
def clone(tmp_path):
    """Return a folder with ``COPIED`` and the recordings named on the pages.

    The quickstart in this folder trains each stage for two steps.
    """
    for name in COPIED:
        source = ROOT / name
        if source.is_file():
            shutil.copy(source, tmp_path)
        else:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(
                source, tmp_path / name, symlinks=True, ignore=ignored
            )
    speech, rate = soundfile.read(ROOT / "examples/clean/valid_001.flac")
    (tmp_path / "RECORDINGS").mkdir()
    for path in ("RECORDINGS/a.wav", "noisy.wav"):
        soundfile.write(tmp_path / path, speech[: 2 * rate], rate)
    quickstart = tmp_path / "examples/quickstart.py"
    text = quickstart.read_text("utf-8")
    for option, value in (("max_steps", 40), ("valid_interval", 20)):
        assert f"--{option}={value}" in text
        text = text.replace(f"--{option}={value}", f"--{option}=2")
    quickstart.write_text(text, "utf-8")
    return tmp_path


def start(folder, words, output):
    """Run a program with its arguments in a folder, in this process."""
    with open(output, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    torch.set_num_threads(1)
    sys.path.insert(0, str(folder))
    program, *arguments = words
    if program == "python":
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        sys.argv = words
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def run(folder, command):
    """Run the programs joined with && in a command; check that they succeed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    for program in command.split(" && "):
        words = shlex.split(program, comments=True)
        if words[0] in NOT_RUN:
            continue
        output = folder / "output.txt"
        process = context.Process(target=start, args=(folder, words, output))
        process.start()
        process.join()
        message = program + "\n" + output.read_text("utf-8")
        assert process.exitcode == 0, message


def test_changes_and_settings_are_used():
    text = "\n".join(commands())
    for change, _, reason in CHANGES:
        assert change in f"{text}\n" and reason
    for yaml in SETTINGS:
        assert f"train.py {yaml} " in text
    for command in NOT_RUN:
        assert command in PAGE


@pytest.mark.slow
def test_commands_run_one_after_the_other(clone, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for command in commands():
        run(clone, shortened(command))
    (clone / "example.py").write_text(PYTHON + "".join(code("python")))
    run(clone, "python example.py")
    assert len(list(clone.glob("restored/*.wav"))) == 3
    assert (clone / "results/quickstart/vocoder/model").is_dir()
    assert (clone / "results/vocoder/1234/model").is_dir()
    assert (clone / "trained.wav").exists()
    assert (clone / "restored.wav").exists()
    assert (clone / "RESTORED/a.wav").exists()
    assert (clone / "NOISY/a.wav").exists()
    assert (clone / "report/summary.md").exists()
