"""The recipe folder and its rows in SpeechBrain's list of recipe tests.

``train.py``, the YAMLs and the modules that users edit (Brains, datasets,
loaders, losses) are copied. Models, degradations and restoration are imported
from the package ``miipher2``, which ``extra_requirements.txt`` installs.

Authors
 * The miipher2 authors 2026
"""

import csv
import io
import os
import re
import sys
from pathlib import Path

from contribution.topic import (
    FILES,
    ROOT,
    ContributionError,
    read_text,
    replace_once,
    run,
    write_new,
)

DATASET = Path("recipes/LibriTTS")
RECIPE = DATASET / "restoration" / "miipher2"
PREPARE = DATASET / "libritts_prepare.py"
ROWS = Path("tests/recipes/LibriTTS.csv")

STAGES = ("ssl", "pa", "vocoder")
TRAINING = (
    "adapter_brain",
    "dataset",
    "epoch_dataset",
    "loaders",
    "losses",
    "pretraining_brain",
    "segments",
    "ssl_loss",
    "step_brain",
    "vocoder_brain",
)
# The ``prepare`` key in the YAMLs, in this repository and in SpeechBrain
OUR_PREPARE = """\
# Function that writes the speech manifests. For another corpus:
#   --prepare='!name:vctk_prepare.prepare_vctk'
prepare: !name:folder_prepare.prepare_folder
"""
THEIR_PREPARE = """\
# Function that writes the speech manifests
prepare: !name:libritts_manifests.prepare_manifests
"""
PREPARE_FLAG = "    --prepare='!name:libritts_prepare.prepare_libritts' \\\n"


def add_recipe(checkout):
    """Write the recipe folder and its rows; return the paths.

    Scripts are formatted with the ruff settings of the checkout, which sort
    imports differently from the settings of this repository.
    """
    read_text(checkout, PREPARE)  # raises an error if the file is missing
    ruff = [sys.executable, "-m", "ruff"]
    run(*ruff, "--version", cwd=checkout)  # fails before any file is written
    written = [
        write_new(checkout, RECIPE / path, text)
        for path, text in recipe_files().items()
    ]
    scripts = [path for path in written if path.suffix == ".py"]
    run(*ruff, "check", "--fix", "--quiet", *scripts, cwd=checkout)
    run(*ruff, "format", "--quiet", *scripts, cwd=checkout)
    link = RECIPE / PREPARE.name
    target = os.path.relpath(PREPARE, RECIPE)
    (checkout / link).symlink_to(Path(target).as_posix())
    rows = read_text(checkout, ROWS)
    if f",{RECIPE.as_posix()}/" in rows:
        raise ContributionError(f"{ROWS}: the recipe already exists")
    (checkout / ROWS).write_text(f"{rows.rstrip()}\n{test_rows()}", "utf-8")
    return [*written, link, ROWS]


def recipe_files():
    """Return the text of each file in the recipe folder, by relative path."""
    source = ROOT / RECIPE
    readme = (source / "README.md").read_text("utf-8")
    if PREPARE_FLAG not in readme:
        raise ContributionError(
            f"{source / 'README.md'}: expected the line {PREPARE_FLAG!r}"
        )
    files = {
        "README.md": readme.replace(PREPARE_FLAG, ""),
        "extra_requirements.txt": (
            source / "extra_requirements.txt"
        ).read_text(),
        "train.py": train_script(),
        "libritts_manifests.py": (FILES / "libritts_manifests.py").read_text(),
        "training/__init__.py": package_docstring(),
    }
    for name in TRAINING:
        path = ROOT / "miipher2" / "training" / f"{name}.py"
        files[f"training/{name}.py"] = local_imports(path.read_text("utf-8"))
    for stage in STAGES:
        path = ROOT / "hparams" / f"{stage}.yaml"
        text = local_imports(path.read_text("utf-8"))
        text = replace_once(text, OUR_PREPARE, THEIR_PREPARE, path)
        files[f"hparams/{stage}.yaml"] = text
    for path in sorted((ROOT / "hparams" / "models").rglob("*.yaml")):
        relative = path.relative_to(ROOT).as_posix()
        files[relative] = path.read_text("utf-8")
    return files


def train_script():
    """Return ``train.py`` without the code that extends ``sys.path``."""
    path = ROOT / "train.py"
    text, count = re.subn(
        r"(?:^#.*\n)*^sys\.path \+= .*\n+",
        "",
        path.read_text("utf-8"),
        flags=re.M,
    )
    if count != 1 or "sys.path" in text:
        raise ContributionError(f"{path}: expected one line with sys.path")
    return text


def local_imports(text):
    """Change imports of copied modules to the local package ``training``.

    Example
    -------
    >>> local_imports("miipher2.training.losses, miipher2.training.overrides")
    'training.losses, miipher2.training.overrides'
    """
    names = "|".join(TRAINING)
    return re.sub(rf"\bmiipher2\.(training\.(?:{names}))\b", r"\1", text)


def package_docstring():
    """Return the text of ``training/__init__.py``."""
    return '''"""Brains, datasets, loaders and losses of this recipe.

Authors
 * The miipher2 authors 2026
"""
'''


def test_rows():
    """Return rows for the list of recipe tests, one for each stage."""
    folder = RECIPE.as_posix()
    common, per_stage = debug_flags()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for stage in STAGES:
        flags, files = per_stage[stage]
        writer.writerow(
            [
                "Enhancement",
                "LibriTTS",
                f"{folder}/train.py",
                f"{folder}/hparams/{stage}.yaml",
                PREPARE.as_posix(),
                f"{folder}/README.md",
                "",  # Result_url
                "",  # HF_repo
                " ".join([*common, *flags]),
                f"file_exists=[{','.join(files)}]",
            ]
        )
    return text.getvalue()


def debug_flags():
    """Return the flags of test runs on SpeechBrain's samples.

    Returns
    -------
    list of str
        Flags that all stages have in common.
    dict
        Additional flags and names of the output files, by stage.
    """
    annotation = "tests/samples/annotation"
    common = ["--data_folder=tests/samples/ASR"]
    for key in ("train", "valid", "test"):
        common.append(f"--{key}_csv={annotation}/AST_train.csv")
    for key, folder, table in (
        ("noise", "noise", "noise.csv"),
        ("rir", "RIRs", "RIRs.csv"),
    ):
        common.append(f"--{key}_folder=tests/samples/{folder}")
        common.append(f"--{key}_csv={annotation}/{table}")
        common.append(f"--valid_{key}_csv={annotation}/{table}")
    common += [
        "--skip_prep=True",
        "--batch_size=1",
        "--segment_seconds=1",
        "--num_workers=0",
        "--max_steps=4",
        "--valid_interval=2",
        "--valid_kinds=[all]",
    ]
    # A HuBERT of 4 layers that is built from its config, without a download
    ssl = ["--ssl=!include:models/ssl/hubert_tiny.yaml"]
    ssl.append("--adapter_bottleneck=8")
    logs = "train_log.txt log.txt env.log train.py hyperparams.yaml".split()
    return common, {
        "ssl": ([], [*logs, "model/config.json", "model/model.safetensors"]),
        "pa": (ssl, [*logs, "model/cleaner.safetensors"]),
        "vocoder": (
            [
                *ssl,
                "--cleaner_folder=null",
                "--vocoder=!include:models/vocoder/hifigan_small.yaml",
                "--vocoder_frames=20",
                "--pretrain_steps=2",
            ],
            [*logs, "model/hyperparams.yaml", "model/vocoder.safetensors"],
        ),
    }
