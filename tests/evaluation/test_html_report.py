"""Tests of ``report.html`` without a browser.

Authors
 * The miipher2 authors 2026
"""

import json
import re

import pytest
from example_scores import example

from miipher2.dataio.tables import read_table, write_table
from miipher2.errors import UserError
from miipher2.evaluation import html_report
from miipher2.evaluation.html_report import write_html
from miipher2.evaluation.scores import Scores


def page(files_csv, **options):
    """Write the page; return its HTML and its data."""
    write_html(files_csv.parent, **options)
    text = files_csv.with_name("report.html").read_text("utf-8")
    (data,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    return text, json.loads(data)


def edit_rows(files_csv, edit):
    """Replace each row of a table with ``edit(row)``."""
    rows = [edit(row) for _, row in read_table(files_csv, ("file",))]
    write_table(files_csv, list(rows[0]), rows)


@pytest.fixture
def small(tmp_path):
    """Return the path of a ``files.csv`` with 6 files, one of which failed."""
    return example(tmp_path)


def test_the_page_loads_no_other_file(small):
    summary = "| a |\n| - |\n\n- Measured with x 1.0\n"
    small.with_name("summary.md").write_text(summary)
    text, data = page(small, title="Set 1")
    assert "<title>Set 1</title>" in text
    assert "{{" not in text
    assert data["remarks"] == ["Measured with x 1.0"]
    outside = re.sub(r"http://www.w3.org/2000/svg", "", text)
    assert not re.search(r"https?:|src=\"[^d]|@import|url\(", outside)
    assert data["texts"]["overview"].startswith("6 files")
    assert [g["name"] for g in data["groups"]] == ["noise", "reverb", "all"]


def test_means_agree_with_files_csv(small):
    _, data = page(small)
    names = [metric["name"] for metric in data["metrics"]]
    found = data["groups"][-1]["scores"][names.index("cer")]
    scores = Scores(small)
    mean = float(scores["restored_cer"][:5].mean())
    assert found["files"] == 5
    assert found["mean"]["restored"] == pytest.approx(mean, abs=1e-3)
    change = found["mean"]["restored"] - found["mean"]["input"]
    assert found["change"]["mean"] == pytest.approx(change, abs=1e-3)


def test_failed_files_and_notes_are_listed(small):
    _, data = page(small)
    assert data["failed"]["total"] == 1
    assert data["failed"]["rows"][0][1] == "restored is silent"
    (noted,) = data["noted"]["rows"]
    assert "repeats" in noted[1]
    assert len(data["rows"]) == 5
    assert len(data["players"]) == 5
    assert data["players"][0]["text"].endswith("worst by CER")


def test_file_names_cannot_inject_html(small):
    name = "</script><script>alert('\u2028')</script>&\"\udcff.wav"

    def rename(row):
        return {**row, "file": name, "notes": "<b>", "condition": "<i>"}

    rows = [rename(row) for _, row in read_table(small, ("file",))]
    lines = [",".join(rows[0])]
    for row in rows:
        quoted = [(v or "").replace('"', '""') for v in row.values()]
        lines.append(",".join(f'"{value}"' for value in quoted))
    small.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    text, data = page(small, title="<a> & \udcff")
    assert data["rows"][0]["file"] == name
    assert "<title>&lt;a&gt; &amp; ?</title>" in text
    assert text.count("</script>") == 2
    assert "alert(" not in text.replace("\\u003cscript>alert(", "")


def test_worst_files_and_a_random_sample_have_players(tmp_path):
    files_csv = example(tmp_path, files=60, audio=False)
    _, data = page(files_csv)
    kinds = [card["kind"] for card in data["players"]]
    assert kinds == ["worst"] * 20 + ["random"] * 10
    files = [card["file"] for card in data["players"]]
    assert len(set(files)) == 30
    assert files[:20] == [row["file"] for row in data["rows"][:20]]
    side = data["players"][0]["sides"]["restored"]
    assert "no such file" in side["missing"]
    assert page(files_csv)[1] == data


def test_the_table_of_many_files_lists_only_the_worst(tmp_path, monkeypatch):
    monkeypatch.setattr(html_report, "MAX_ROWS", 40)
    files_csv = example(tmp_path, files=60, audio=False)
    _, data = page(files_csv)
    assert len(data["rows"]) == 40
    assert "The worst 40 of 59 files" in data["texts"]["files"]


def test_words_and_voice_are_listed_even_if_not_measured(small):
    words = ("cer", "wer", "per", "loop", "speaker")

    def without_words(row):
        return {k: v for k, v in row.items() if not k.endswith(words)}

    edit_rows(small, without_words)
    edit_rows(
        small, lambda row: {k: v for k, v in row.items() if "er_" not in k}
    )
    _, data = page(small)
    metrics = {q["short"]: q["metrics"] for q in data["questions"]}
    assert metrics == {
        "Quality": ["ovrl", "p808", "pesq_wb"],
        "Words": [],
        "Voice": [],
    }
    assert data["scatter"] is None


def test_the_restored_side_is_sufficient(small):
    def only_restored(row):
        sides = ("input_", "clean_")
        return {k: v for k, v in row.items() if not k.startswith(sides)}

    edit_rows(small, only_restored)
    _, data = page(small)
    assert data["sides"] == ["restored"]
    assert data["groups"][-1]["scores"][0]["change"] is None
    assert not data["scatter"]["x"]["change"]
    assert list(data["players"][0]["sides"]) == ["restored"]


def test_the_page_is_written_even_without_scores(small):
    edit_rows(small, lambda row: {"file": row["file"], "notes": "silent"})
    _, data = page(small)
    assert data["metrics"] == data["players"] == data["rows"] == []
    assert data["noted"]["total"] == 6


def test_files_that_cannot_be_read_or_written_raise(small, tmp_path):
    with pytest.raises(UserError, match=r"none/files.csv: cannot be read"):
        write_html(tmp_path / "none")
    small.with_name("report.html").mkdir()
    with pytest.raises(UserError, match=r"report.html: cannot be written"):
        write_html(small.parent)
