"""Tests of the contribution to SpeechBrain, in a small copy and in a clone.

The environment variable SPEECHBRAIN gives the folder of the clone. Without it,
the tests that need the clone are skipped.

Authors
 * The miipher2 authors 2026
"""

import csv
import doctest
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import soundfile
import speechbrain
import upstream
from contribution.recipe import RECIPE, STAGES, TRAINING
from contribution.topic import ContributionError
from tiny_runs import ROOT
from tiny_voice import voice

from miipher2.dataio.manifests import read_manifest

TESTS = "tests/unittests"
PREPARE_STUB = '''\
import json


def prepare_libritts(data_folder, *paths, sample_rate, model_name, **splits):
    """Write a JSON manifest of one utterance for each split."""
    assert sample_rate == 24000
    for path, subsets in zip(paths, splits.values(), strict=True):
        item = {"wav": f"{data_folder}/{subsets[0]}/a.wav", "duration": 1.5}
        with open(path, "w") as file:
            json.dump({"a": {**item, "spk_id": "7"}}, file)
'''


def write_samples(folder):
    """Write recordings and manifests in place of SpeechBrain's samples."""
    rng = numpy.random.default_rng(0)
    (folder / "annotation").mkdir(parents=True)
    for table, kind, names, root in (
        ("AST_train", "ASR", ["spk1_snt1", "spk1_snt2"], "tests/samples/ASR"),
        ("noise", "noise", ["noise1"], "$noise_folder"),
        ("RIRs", "RIRs", ["rir1"], "$rir_folder"),
    ):
        (folder / kind).mkdir()
        lines = ["ID,duration,wav"]
        for name in names:
            wav = voice(rng, 1.5)
            soundfile.write(folder / kind / f"{name}.wav", wav, 16000)
            seconds = len(wav) / 16000
            lines.append(f"{name},{seconds},{root}/{name}.wav")
        table = folder / "annotation" / f"{table}.csv"
        table.write_text("\n".join(lines) + "\n")


@pytest.fixture
def small(tmp_path):
    """Return a checkout with only the files that are changed or needed."""
    package = Path(speechbrain.__file__).parent
    for name in ("core.py", "nnet/adapters.py", "utils/checkpoints.py"):
        (tmp_path / "speechbrain" / name).parent.mkdir(
            exist_ok=True, parents=True
        )
        shutil.copy(package / name, tmp_path / "speechbrain" / name)
    for path, text in {
        f"{TESTS}/test_checkpoints.py": "import torch\n",
        "tests/recipes/LibriTTS.csv": "Task,Dataset,Script_file,Hparam_file,"
        "Data_prep_file,Readme_file,Result_url,HF_repo,test_debug_flags,"
        "test_debug_checks\n",
        "recipes/LibriTTS/libritts_prepare.py": PREPARE_STUB,
        "pyproject.toml": "[tool.ruff]\nline-length = 80\n[tool.ruff.lint]\n"
        'select = ["I"]\n',
        "conftest.py": "import pytest\n\n\n@pytest.fixture\ndef device():\n"
        '    return "cpu"\n',
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


@pytest.fixture
def copy(small):
    """Return the small checkout with all of speechbrain except integrations."""
    package = Path(speechbrain.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "integrations")
    shutil.copytree(
        package, small / "speechbrain", ignore=ignored, dirs_exist_ok=True
    )
    return small


def shell(*command, cwd, **environment):
    """Run a command in a checkout, with the hub offline; return its result."""
    search = [cwd, ROOT] if "PYTHONPATH" not in environment else []
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(map(str, search)),
        **environment,
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )


def check(*command, cwd, **environment):
    """Run a command that must succeed; return its standard output."""
    done = shell(*command, cwd=cwd, **environment)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


@pytest.mark.parametrize("name", ["topic", "recipe"])
def test_examples_in_docstrings_pass(name):
    module = importlib.import_module(f"contribution.{name}")
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert results.attempted and not results.failed


def test_the_recipe_is_complete(small):
    written = upstream.apply_topics(small)
    assert all((small / path).is_file() for path in written)
    recipe = small / RECIPE
    link = recipe / "libritts_prepare.py"
    assert link.is_symlink() and not Path(os.readlink(link)).is_absolute()
    assert link.samefile(small / "recipes/LibriTTS/libritts_prepare.py")
    texts = {p: p.read_text() for p in recipe.rglob("*") if p.is_file()}
    assert not [p for p, text in texts.items() if "sys.path" in text]
    copied = "|".join(TRAINING)
    for path, text in texts.items():
        assert not re.search(rf"miipher2\.training\.({copied})\b", text), path
        if path.suffix in (".yaml", ".py"):
            names = re.findall(r"((?:miipher2\.)?\btraining)\.(\w+)\.\w", text)
            for package, name in names:
                root = recipe if package == "training" else ROOT
                folder = root / package.replace(".", "/")
                assert (folder / f"{name}.py").is_file(), name
    # At most 80 columns, except in linked files
    for path, text in texts.items():
        if path.suffix in (".py", ".yaml") and not path.is_symlink():
            long = [line for line in text.splitlines() if len(line) > 80]
            assert not long, path


def test_every_stage_has_a_row_in_the_list_of_tests(small):
    upstream.apply_topics(small)
    with open(small / "tests/recipes/LibriTTS.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["Hparam_file"]).stem for row in rows] == list(STAGES)
    script = (small / RECIPE / "train.py").read_text()
    for row in rows:
        for column in row:
            if column.endswith("_file"):
                assert (small / row[column]).is_file(), row[column]
        assert row["test_debug_checks"].startswith("file_exists=[")
        yaml = (small / row["Hparam_file"]).read_text()
        keys = set(re.findall(r"^(\w+):", yaml, re.M))
        flags = re.findall(r"--(\w+)=", row["test_debug_flags"])
        assert set(flags) <= keys
        # SpeechBrain's tests/consistency has the same rule
        unused = [
            key
            for key in re.findall(r"^(\w+):(?! !apply:)", yaml, re.M)
            if not re.search(rf"<{key}[\[\].>]", yaml)
            and f'["{key}"]' not in script
        ]
        assert set(unused) <= {
            "ckpt_interval_minutes",
            "grad_accumulation_factor",
            "max_grad_norm",
        }


def test_manifests_of_libritts(small, monkeypatch):
    upstream.apply_topics(small)
    monkeypatch.syspath_prepend(small / RECIPE)
    corpus = small / "corpus"
    for subset in ("train-clean-100", "dev-clean", "test-clean"):
        (corpus / subset).mkdir(parents=True)
    csvs = [small / f"{split}.csv" for split in ("train", "valid", "test")]
    module = importlib.import_module("libritts_manifests")
    monkeypatch.chdir(small)
    module.prepare_manifests("corpus", *csvs)  # finds the absolute path
    (row,) = read_manifest(csvs[1], corpus)
    assert row == {
        "ID": "a",
        "duration": 1.5,
        "wav": f"{corpus}/dev-clean/a.wav",
        "spk_id": "7",
    }
    (corpus / "dev-clean").rmdir()
    csvs[1].unlink()
    with pytest.raises(FileNotFoundError, match="one of dev-clean, dev-other"):
        module.prepare_manifests(corpus, *csvs)


def test_contributed_unit_tests_pass_with_the_installed_speechbrain(copy):
    upstream.apply_topics(copy, upstream.TOPICS[:3])
    example = (
        "speechbrain/nnet/adapters.py::"
        "speechbrain.nnet.adapters.ParallelAdapter"
    )
    command = (sys.executable, "-m", "pytest", "-q", "--doctest-modules")
    output = check(*command, TESTS, example, cwd=copy)
    assert re.search(r"^10 passed", output, re.M), output


def test_a_second_application_raises_and_leaves_the_adapters_unchanged(small):
    upstream.apply_topics(small)
    path = small / "speechbrain/nnet/adapters.py"
    before = path.read_bytes()
    with pytest.raises(ContributionError, match="already exists"):
        upstream.apply_topics(small)
    assert path.read_bytes() == before


def test_a_folder_without_speechbrain_raises_an_error(tmp_path):
    with pytest.raises(SystemExit, match="has no speechbrain/core.py"):
        upstream.main([str(tmp_path)])


def test_patches_apply_alone_and_together(small):
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@localhost")
    check("git", "init", "-q", cwd=small)
    check("git", "add", "-A", cwd=small)
    check(*git, "commit", "-qm", "SpeechBrain", cwd=small)
    upstream.main([str(small), "--patch", str(small / "patches")])
    status = check("git", "status", "--short", cwd=small)
    assert status.split() == ["??", "patches/"]
    names = [topic.name for topic in upstream.TOPICS]
    patches = [small / "patches" / f"{name}.patch" for name in names]
    assert sorted((small / "patches").iterdir()) == sorted(patches)
    for patch in patches:
        check("git", "apply", "--check", patch, cwd=small)
    check(*git, "am", "-q", *patches, cwd=small)
    log = check("git", "log", "--format=%s", cwd=small).splitlines()
    assert log[:-1] == [topic.title for topic in reversed(upstream.TOPICS)]
    assert (small / RECIPE / "libritts_prepare.py").is_symlink()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_with_the_flags_of_its_row(copy, stage):
    upstream.apply_topics(copy)
    write_samples(copy / "tests" / "samples")
    with open(copy / "tests/recipes/LibriTTS.csv", newline="") as file:
        rows = {Path(r["Hparam_file"]).stem: r for r in csv.DictReader(file)}
    row = rows[stage]
    check(
        sys.executable,
        row["Script_file"],
        row["Hparam_file"],
        *row["test_debug_flags"].split(),
        "--device=cpu",
        "--output_folder=tests/tmp/row",
        "--debug",
        "--debug_persistently",
        cwd=copy,
        PYTHONPATH=f"{copy / RECIPE}{os.pathsep}{ROOT}",
    )
    files = re.search(r"file_exists=\[(.*?)\]", row["test_debug_checks"])[1]
    for name in files.split(","):
        assert (copy / "tests/tmp/row" / name).is_file(), name


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """Return a clone of SpeechBrain with the contribution applied."""
    source = os.environ.get("SPEECHBRAIN")
    if not source:
        pytest.skip("set SPEECHBRAIN to the folder of a clone of SpeechBrain")
    clone = tmp_path_factory.mktemp("upstream") / "speechbrain"
    check("git", "clone", "-q", Path(source).absolute(), clone, cwd=ROOT)
    upstream.apply_topics(clone)
    check("git", "add", "-A", cwd=clone)
    return clone


@pytest.fixture(scope="session")
def changed(checkout):
    """Return the added and changed files, without links."""
    command = ("git", "diff", "--cached", "--name-only", "--diff-filter=d")
    names = check(*command, cwd=checkout).split()
    return [n for n in names if not (checkout / n).is_symlink()]


@pytest.mark.slow
def test_consistency_tests_pass(checkout):
    command = (sys.executable, "-m", "pytest", "-q", "tests/consistency")
    assert " passed" in check(*command, cwd=checkout)


@pytest.mark.slow
def test_unit_tests_and_doctests_pass(checkout, changed):
    tests = [name for name in changed if name.startswith(TESTS)]
    command = (sys.executable, "-m", "pytest", "-q")
    check(*command, *tests, cwd=checkout)
    modules = [n for n in changed if n.endswith(".py") and n not in tests]
    modules.remove(f"{RECIPE.as_posix()}/train.py")  # has no examples
    check(*command, "--doctest-modules", *modules, cwd=checkout)


@pytest.mark.slow
def test_linters_find_nothing(checkout, changed):
    scripts = [name for name in changed if name.endswith(".py")]
    check(sys.executable, "-m", "ruff", "check", *scripts, cwd=checkout)
    command = (sys.executable, "-m", "ruff", "format", "--check")
    check(*command, *scripts, cwd=checkout)
    yamls = [name for name in changed if name.endswith(".yaml")]
    check(
        sys.executable, "-m", "yamllint", "--no-warnings", *yamls, cwd=checkout
    )
    words = "--ignore-words=.dict-speechbrain.txt"
    check("codespell", words, *changed, cwd=checkout)
    sizes = [(checkout / name).stat().st_size for name in changed]
    assert max(sizes) <= 1024 * 1024


@pytest.mark.slow
def test_recipe_tests_pass_for_the_added_rows(checkout):
    programs = checkout / "programs"
    programs.mkdir()
    # The runner sets PYTHONPATH to the recipe's folder only
    python = programs / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{checkout}:{ROOT}" '
        f'exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    (checkout / "run.py").write_text(
        "from tests.utils.recipe_tests import run_recipe_tests\n"
        "assert run_recipe_tests(\n"
        '    filters_fields=["Dataset", "Task"],\n'
        '    filters=[["LibriTTS"], ["Enhancement"]],\n'
        "    do_checks=True,\n"
        ")\n"
    )
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    check(sys.executable, "run.py", cwd=checkout, PATH=path)
    passed = sorted((checkout / "tests" / "tmp").glob("*/.passed"))
    assert len(passed) == len(STAGES)


@pytest.mark.slow
def test_manifests_from_speechbrains_prepare_script(checkout, tmp_path):
    """All utterances are listed; the script draws 500 for the valid set."""
    first = None
    for subset, count in (
        ("train-clean-100", 2),
        ("dev-clean", 500),
        ("test-clean", 3),
    ):
        folder = tmp_path / "LibriTTS" / subset / "19" / "198"
        folder.mkdir(parents=True)
        for number in range(count):
            path = folder / f"19_198_{number:06d}_000000.wav"
            if first is None:
                soundfile.write(path, numpy.zeros(28800), 24000)
                first = path
            else:
                path.hardlink_to(first)
            path.with_suffix(".normalized.txt").write_text("A word.")
    code = (
        "import json, sys; from libritts_manifests import prepare_manifests;"
        "prepare_manifests(*json.loads(sys.argv[1]))"
    )
    csvs = [
        str(tmp_path / f"{name}.csv") for name in ("train", "valid", "test")
    ]
    arguments = json.dumps([str(tmp_path / "LibriTTS"), *csvs])
    search = os.pathsep.join(map(str, (checkout / RECIPE, checkout)))
    command = (sys.executable, "-c", code, arguments)
    check(*command, cwd=tmp_path, PYTHONPATH=search)
    rows = [read_manifest(path, "") for path in csvs]
    assert [len(split) for split in rows] == [2, 500, 3]
    assert rows[0][0]["duration"] == 1.2 and rows[0][0]["spk_id"] == "19"
