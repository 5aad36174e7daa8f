"""Build the documentation as a web site, in ``build/site``.

    pip install -e '.[docs]' && python docs/build_site.py

The pages are the Markdown files of the repository in their original folders, so
their links also work in a clone. Links to files other than pages and pictures
are replaced with their text. ``docs/api.md`` is generated from docstrings. A
broken link to a page or picture is an error.

Authors
 * The miipher2 authors 2026
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "build" / "docs"
PAGES = (
    "*.md",
    "docs/**/*.md",
    "recipes/**/*.md",
    "examples/*.md",
    "miipher2/**/*.md",
)
PICTURES = (".png", ".svg")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
# Modules whose public classes and functions are on the API page
API = {
    "Restoring": [
        "miipher2.inference.restorer",
        "miipher2.inference.base",
        "miipher2.inference.onnx.restorer",
    ],
    "Models": [
        "miipher2.models.backbone",
        "miipher2.models.adapters",
        "miipher2.models.cleaner",
        "miipher2.models.vocoders.base",
        "miipher2.models.vocoders.hifigan",
        "miipher2.models.vocoders.istft",
        "miipher2.models.vocoders.harmonic",
        "miipher2.models.discriminators",
    ],
    "Training": [
        "miipher2.training.dataset",
        "miipher2.training.losses",
        "miipher2.training.step_brain",
        "miipher2.training.adapter_brain",
        "miipher2.training.vocoder_brain",
        "miipher2.training.pretraining_brain",
    ],
    "Degradations": [
        "miipher2.degrade.chain",
        "miipher2.degrade.noise",
        "miipher2.degrade.reverb",
    ],
    "Evaluation": [
        "miipher2.evaluation.evaluate",
        "miipher2.evaluation.report",
        "miipher2.evaluation.metrics",
    ],
}


def copy_pages():
    """Copy pages and pictures to ``SOURCE``."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            target = SOURCE / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(as_page(path), "utf-8")
    for path in (ROOT / "docs").rglob("*"):
        if path.suffix in PICTURES:
            target = SOURCE / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def as_page(path):
    """Return the text of a page without links to files outside the site.

    Links to pages, pictures and web sites are kept.
    """

    def replace(match):
        text, target, _ = match.groups()
        if target.startswith(("http", "mailto")):
            return match.group()
        if (path.parent / target).suffix in (".md", *PICTURES):
            return match.group()
        return text

    return LINK.sub(replace, path.read_text("utf-8"))


def write_api():
    """Write the API page."""
    lines = ["# Python interface", ""]
    for title, modules in API.items():
        lines += [f"## {title}", ""]
        for module in modules:
            lines += [f"::: {module}", ""]
    (SOURCE / "docs/api.md").write_text("\n".join(lines), "utf-8")


def main():
    """Build the site and return the exit code of mkdocs."""
    copy_pages()
    write_api()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    # suppress the warning about MkDocs 2 that Material for MkDocs prints
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
