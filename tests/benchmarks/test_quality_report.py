"""Tests of reports on the fixed test set and of the pages made from them.

Authors
 * The miipher2 authors 2026
"""

import shutil

import gate
import numpy
import pages
import pytest
import quality
import quality_page
import soundfile
from tiny_restorer import save_tiny_restorer
from tiny_voice import voice

from miipher2.dataio.tables import write_table
from miipher2.errors import UserError
from miipher2.evaluation import scorer
from miipher2.evaluation.base import Metric
from miipher2.evaluation.scores import Scores

RATE = 16000
CONDITIONS = ("noise", "reverb", "clean")
PAGE = "<!-- {0} -->\nold\n<!-- end of {0} -->\n"


class Quality(Metric):
    """Metric that replaces DNSMOS; its score decreases as the level rises."""

    columns = {"ovrl": "OVRL"}

    def extract(self, file, clips):
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, value, reference=None):
        return [5 - 40 * float(numpy.std(value))]


class Errors(Metric):
    """Waveform distance that replaces error rates and speaker similarity."""

    columns = {"wer": "WER %", "cer": "CER %", "per": "PER %", "speaker": "s"}
    reference_sides = ("clean", "input")

    def extract(self, file, clips):
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, value, reference=None):
        error = 1000 * float(numpy.std(value - reference))
        return [*(min(100.0, n * error) for n in (10, 1, 1)), 1 - error / 100]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Folder with a test set of three conditions and ``no-speech``."""
    rng = numpy.random.default_rng(0)
    rows = []
    for clip in "ab":
        clean = voice(rng, 1.0)
        for condition in (*CONDITIONS, "no-speech"):
            noise = 0.02 * rng.standard_normal(len(clean))
            noisy = clean + noise * (condition != "clean")
            root = tmp_path / "set"
            if condition == "no-speech":
                root = root / "extra"
            for side, wav in (("input", noisy), ("clean", clean)):
                path = root / side / condition / f"{clip}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, wav, RATE)
            rows.append(
                {
                    "condition": condition,
                    "clip": clip,
                    "seconds": "1",
                    "cutoff_hz": "",
                }
            )
    write_table(tmp_path / "set/set.csv", list(rows[0]), rows)
    metrics = [Quality(), Errors()]
    monkeypatch.setattr(scorer, "load_metrics", lambda *_: (metrics, []))
    monkeypatch.setattr(quality, "rnnoise", lambda wav: 0.5 * wav)
    return tmp_path


def report(home, name, *options):
    output = home / "reports" / name
    arguments = [home / "set", *options, "--output", output]
    quality.main(["report", *map(str, arguments)])
    return output


def test_reports_on_inputs_and_rnnoise(home):
    scores = Scores(report(home, "input") / "files.csv")
    assert set(scores.conditions) == set(CONDITIONS)
    assert len(scores) == 6
    assert scores.sides("wer") == ["restored"]
    denoised = report(home, "rnnoise", "--rnnoise")
    found = Scores(denoised / "files.csv")
    assert found.sides("wer") == ["input", "restored"]
    assert numpy.array_equal(found["input_wer"], scores["restored_wer"])
    assert not numpy.array_equal(found["restored_wer"], found["input_wer"])
    assert (denoised / "report.html").exists()
    assert not (home / "set/extra/rnnoise").exists()


def test_report_on_a_model(home, tmp_path_factory):
    tiny_model = save_tiny_restorer(tmp_path_factory.mktemp("model"))
    output = report(home, "tiny", "--model", tiny_model)
    assert len(list((output / "restored").rglob("*.wav"))) == 6
    assert Scores(output / "files.csv").status == ["done"] * 6


def test_page_contains_all_systems(home):
    folders = report(home, "input"), report(home, "rnnoise", "--rnnoise")
    page, picture = home / "page.md", home / "pictures/set.png"
    page.write_text(f"Before\n{PAGE.format('fixed set')}After\n")
    options = ["--page", page, "--picture", picture]
    quality_page.main([*map(str, (*folders, *options))])
    text = page.read_text()
    assert text.startswith("Before\n") and text.endswith("After\n")
    assert "old" not in text
    rows = {line.split(" | ")[0]: line for line in text.splitlines()}
    assert rows["| input, RNNoise"].split(" | ")[1] == "OVRL"
    before, after = rows["| noise"].split(" | ")[1].split(", ")
    assert float(after) > float(before)  # the level is halved
    wer = rows["| noise"].split(" | ")[2].split(", ")[0]
    # 10 times the error (1000 times the noise level of 0.02), at most 100
    assert float(wer) == pytest.approx(100)
    assert rows["| clean input"].split(" | ")[3].startswith("0.0, ")
    assert "PESQ-WB |" in rows["| input, RNNoise"]
    assert "| - |" in rows["| RNNoise"]  # PESQ is not measured
    assert "With RNNoise, OVRL rises in 100 % of the files" in text
    assert "](pictures/set.png)" in text
    assert picture.read_bytes()[1:4] == b"PNG"
    with pytest.raises(UserError, match="at least one other"):
        quality_page.main([*map(str, (folders[0], *options))])
    page.write_text("nothing to replace")
    with pytest.raises(UserError, match="page.md: expected the lines"):
        pages.fill(page, "gates", "")


def test_gates_are_measured_against_clean_recordings(home):
    """The gate rejects by comparison with the inputs.

    It finds no errors in the unchanged clip a, but many in clip b. The errors
    in the table are computed against the clean recordings.
    """
    output = home / "reports/model"
    shutil.copytree(home / "set/input", output / "restored")
    for path in output.rglob("b.wav"):
        soundfile.write(path, 0.1 * soundfile.read(path)[0], RATE)
    quality.evaluate(
        output / "restored",
        output,
        source=home / "set/input",
        reference=home / "set/clean",
    )
    page = home / "gate.md"
    page.write_text(PAGE.format("gates"))
    options = ["--recogniser", "none", "--page", page]
    gate.main([*map(str, (home / "set", output, *options))])
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for cells in (line.split("|") for line in page.read_text().splitlines())
        if len(cells) > 5
    }
    # Against the clean recordings, clip a has word error rates of 100, 100 and
    # 0 % in the three conditions.
    assert rows["none"][:2] == ["0", "66.7, 83.3"]
    assert rows["`max_per: 30`"][:2] == ["3", "66.7, 66.7"]
    assert rows["`min_dnsmos_gain: 0.1`"][0] == "3"
    assert rows["`max_per: 30`"][4].startswith("100.0, ")
    text = page.read_text()
    assert "- The defaults reject 3 of 6 files: 1 in " in text
    assert "phoneme errors " in text and "old" not in text
