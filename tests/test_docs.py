"""Tests of the documentation and the example files.

Authors
 * The miipher2 authors 2026
"""

import re
import shutil
import subprocess
import sys

import pytest
import soundfile
from tiny_runs import ROOT

FOLDERS = ("docs", "examples", "recipes", "miipher2", "hparams", "benchmarks")
PAGES = [
    *ROOT.glob("*.md"),
    *(path for name in FOLDERS for path in (ROOT / name).rglob("*.md")),
]
TEXTS = [
    *PAGES,
    *(
        path
        for name in FOLDERS
        for suffix in ("py", "yaml", "txt")
        for path in (ROOT / name).rglob(f"*.{suffix}")
    ),
]


def anchors(page):
    """Return the anchors that GitHub generates for a page's headings."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.M)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_have_targets(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_no_page_installs_miipher2_from_a_package_index():
    # No package index contains miipher2; it is installed from a clone.
    command = re.compile(r"pip install [\"']?miipher2\b")
    assert not [p for p in TEXTS if command.search(p.read_text("utf-8"))]


def test_output_folder_of_the_first_command_is_ignored_by_git():
    lines = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "/restored/" in lines


def test_readme_and_model_cards_warn_of_changed_words():
    head = (ROOT / "README.md").read_text("utf-8").splitlines()[:40]
    assert "Do not use it where the wording matters" in "\n".join(head)
    for card in ("docs/compact.md", "miipher2/pretrained/whisper24/README.md"):
        text = " ".join((ROOT / card).read_text("utf-8").split())
        assert "Do not use it where the wording matters" in text, card


def test_examples_are_noisy_restored_and_clean():
    folders = [ROOT / "examples" / n for n in ("noisy", "restored", "clean")]
    names, *others = (
        sorted(path.name for path in folder.iterdir()) for folder in folders
    )
    assert len(names) == 3 and others == [names, names]
    for name in names:
        durations = {
            soundfile.info(folder / name).duration for folder in folders
        }
        assert len(durations) == 1
    assert (ROOT / "docs" / "examples.png").exists()


@pytest.mark.slow
def test_site_builds_unless_a_link_is_broken(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    for name in ("docs", "recipes", "examples", "miipher2"):
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for path in (*ROOT.glob("*.md"), ROOT / "mkdocs.yml"):
        shutil.copy(path, tmp_path)

    def build():
        return subprocess.run(
            [sys.executable, "docs/build_site.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    result = build()
    assert result.returncode == 0, result.stderr
    api = (tmp_path / "build/site/docs/api/index.html").read_text("utf-8")
    assert "Parameters:" in api and "SSLBackbone" in api
    page = tmp_path / "docs/restore.md"
    page.write_text(page.read_text("utf-8") + "[gone](gone.md)\n", "utf-8")
    result = build()
    assert result.returncode != 0 and "gone.md" in result.stdout + result.stderr
