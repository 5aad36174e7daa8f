"""Measuring restored recordings.

Authors
 * The miipher2 authors 2026
"""

import argparse
import csv
import importlib
import io
import math

import numpy
import pytest
import soundfile

from miipher2.errors import UserError
from miipher2.evaluation import (
    command,
    evaluate,
    metrics,
    recognition,
)
from miipher2.evaluation.compare import (
    find_delay,
    log_spectral_distance,
    remove_delay,
)
from miipher2.evaluation.evaluate import Folder, read_transcripts
from miipher2.evaluation.metric import Clip, Metric
from miipher2.evaluation.report import Report

RATE = 16000


def speech(seed=0, seconds=1.0):
    """Noise in syllables."""
    rng = numpy.random.default_rng(seed)
    time = numpy.arange(int(seconds * RATE)) / RATE
    envelope = numpy.clip(numpy.sin(2 * numpy.pi * 3 * time), 0, None)
    return 0.1 * envelope * rng.standard_normal(len(time)) + 1e-4


def write(path, wav, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav, rate, subtype="PCM_16")


class Loudness(Metric):
    """A metric that is easy to foresee: the peak."""

    columns = {"peak": "Peak"}
    meaning = "greatest sample"

    def hear(self, file, clips):
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, heard, target=None):
        return [float(abs(heard).max())]


class Echo(Metric):
    """A metric that compares with the clean side or with the input."""

    columns = {"same": "Same"}
    against = ("clean", "input")

    def hear(self, file, clips):
        return {side: clip.wav for side, clip in clips.items()}

    def score(self, heard, target=None):
        return [float(len(heard) == len(target))]


@pytest.fixture
def loaded(monkeypatch):
    """The two metrics above and LSD instead of those of the packages."""
    found = [Loudness(), metrics.LSD(), Echo()]
    monkeypatch.setattr(evaluate, "load_metrics", lambda *_: (found, []))


@pytest.fixture
def folders(tmp_path):
    """Two groups of two recordings, on three sides, in several formats."""
    for index, name in enumerate(("hiss/a", "hiss/b", "room/a", "room/b")):
        clean = speech(index)
        hiss = 0.02 * numpy.random.default_rng(9).standard_normal(len(clean))
        write(tmp_path / "clean" / f"{name}.flac", clean)
        write(tmp_path / "input" / f"{name}.wav", clean + hiss)
        write(tmp_path / "restored" / f"{name}.wav", clean + 0.1 * hiss)
    return tmp_path


def sides(folder):
    return {
        "restored": folder / "restored",
        "reference": folder / "clean",
        "source": folder / "input",
    }


def lines(report):
    return {row["file"]: row for row in csv.DictReader(io.StringIO(report))}


def cells(table):
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return [[cell.strip() for cell in row] for row in rows]


# Comparing


@pytest.mark.parametrize("delay", [-1600, -333, 0, 7, 1600])
@pytest.mark.parametrize("gain", [1.0, -0.01])
def test_a_delay_is_found_to_the_sample(delay, gain):
    clean = speech(seconds=2.0)
    hiss = 0.03 * numpy.random.default_rng(1).standard_normal(len(clean))
    late = gain * remove_delay(clean + hiss, -delay)
    assert find_delay(late, clean, RATE) == delay


def test_a_delay_is_not_made_up():
    assert find_delay(speech(1), speech(2), RATE) is None
    assert find_delay(numpy.zeros(RATE), speech(), RATE) is None
    # Further away than 100 ms.
    assert find_delay(numpy.pad(speech(), (3000, 0)), speech(), RATE) is None


def test_removing_the_delay_aligns():
    clean = speech()
    for delay in (-50, 0, 50):
        late = remove_delay(clean, -delay)
        aligned = remove_delay(late, delay)
        assert numpy.array_equal(aligned[50:-50], clean[50 : len(aligned) - 50])


def test_spectral_distance_knows_what_differs():
    clean = speech()
    spectrum = numpy.fft.rfft(clean)
    spectrum[len(spectrum) // 2 :] = 0  # nothing above 4 kHz
    muffled = numpy.fft.irfft(spectrum, len(clean))
    whole = log_spectral_distance(muffled, clean, RATE)
    above = log_spectral_distance(muffled, clean, RATE, lowest=4000)
    assert above > whole > 5
    # Neither a gain nor a longer end is a distance.
    longer = numpy.pad(0.3 * clean, (0, 999))
    assert log_spectral_distance(longer, clean, RATE) < 0.1


def test_spectral_distance_is_what_its_docstring_says():
    """White noise against itself, filtered by a known gain of 6 dB."""
    noise = numpy.random.default_rng(0).standard_normal(4 * RATE)
    spectrum = numpy.fft.rfft(noise)
    spectrum[len(spectrum) // 2 :] *= 10 ** (6 / 20)
    tilted = numpy.fft.irfft(spectrum, len(noise))
    # After equal levels half of the bins are g below, half 6 - g above.
    level = 10 * numpy.log10((1 + 10 ** (6 / 10)) / 2)
    expected = math.sqrt((level**2 + (6 - level) ** 2) / 2)
    found = log_spectral_distance(tilted, noise, RATE)
    assert found == pytest.approx(expected, abs=0.1)


def test_spectral_distance_of_silence_is_not_defined():
    for wav in (numpy.zeros(RATE), speech()[:100], numpy.zeros(0)):
        assert math.isnan(log_spectral_distance(wav, speech(), RATE))


# Finding what belongs together


def test_files_belong_together_without_suffix(tmp_path):
    for name in ("x/a.flac", "a.wav", "a.mp3", "b.c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    folder = Folder(tmp_path)
    assert folder.find("x/a.wav") == "x/a.flac"
    assert folder.find("a.wav") == "a.wav"
    assert folder.find("a.mp3.wav") == "a.mp3"
    assert folder.find("b.c.flac") == "b.c.wav"
    assert folder.find("c.wav") is None
    with pytest.raises(UserError, match="a.mp3 or a.wav"):
        folder.find("a.ogg")


def test_wrong_folders_are_named(folders, tmp_path, loaded):
    with pytest.raises(UserError, match="nothing there"):
        evaluate.evaluate(tmp_path / "no")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no recordings"):
        evaluate.evaluate(folders / "restored", tmp_path / "empty")
    write(tmp_path / "other" / "z.wav", speech())
    with pytest.raises(UserError, match="other: nothing there belongs"):
        evaluate.evaluate(folders / "restored", tmp_path / "other")


# Reporting


def test_sides_stand_side_by_side_in_groups(folders, loaded):
    report = evaluate.evaluate(**sides(folders))
    head, _, *rows = cells(report.table())
    assert head == ["group", "side", "files", "Peak", "LSD dB", "Same"]
    assert [row[:3] for row in rows] == [
        [group, side, count]
        for group, count in (("hiss", "2"), ("room", "2"), ("all", "4"))
        for side in ("input", "restored", "clean")
    ]
    assert rows[-1][4:] == ["-", "-"]  # clean is what the others compare with
    assert float(rows[-3][4]) > float(rows[-2][4]) > 0
    peaks = [abs(speech(index)).max() for index in range(4)]
    assert float(rows[-1][3]) == pytest.approx(numpy.mean(peaks), abs=0.006)
    found = lines(report.files())
    assert list(found) == [
        "hiss/a.wav",
        "hiss/b.wav",
        "room/a.wav",
        "room/b.wav",
    ]
    assert float(found["room/a.wav"]["clean_peak"]) == pytest.approx(
        peaks[2], abs=1e-4
    )
    distances = [float(row["restored_lsd"]) for row in found.values()]
    assert float(rows[-2][4]) == pytest.approx(numpy.mean(distances), abs=0.006)


def test_a_delay_does_not_count(folders, loaded):
    path = folders / "restored/hiss/a.wav"
    wav, _ = soundfile.read(path)
    before = lines(evaluate.evaluate(**sides(folders)).files())["hiss/a.wav"]
    write(path, numpy.pad(wav, (320, 0)))
    after = lines(evaluate.evaluate(**sides(folders)).files())["hiss/a.wav"]
    assert float(after["restored_delay_ms"]) == 20.0
    assert float(after["input_delay_ms"]) == 0.0
    assert float(after["restored_lsd"]) == pytest.approx(
        float(before["restored_lsd"]), abs=0.01
    )


def test_bad_files_are_named_and_do_not_count(folders, loaded):
    restored = folders / "restored"
    expected = evaluate.evaluate(**sides(folders)).means(())
    write(restored / "hiss/silent.wav", numpy.zeros(RATE))
    write(folders / "clean/hiss/silent.wav", speech())
    soundfile.write(
        restored / "hiss/nan.wav",
        numpy.full(RATE, numpy.nan),
        RATE,
        subtype="FLOAT",
    )
    (restored / "hiss/text.wav").write_text("no sound")
    write(restored / "hiss/empty.wav", numpy.zeros(0))
    write(restored / "hiss/lone.wav", speech())
    write(folders / "clean/gone.wav", speech())
    write(restored / "room/a.wav", speech(2, seconds=0.5))
    report = evaluate.evaluate(**sides(folders))
    found = lines(report.files())
    assert "silent" in found["hiss/silent.wav"]["notes"]
    assert "NaN" in found["hiss/nan.wav"]["notes"]
    assert "cannot be read" in found["hiss/text.wav"]["notes"]
    assert "empty" in found["hiss/empty.wav"]["notes"]
    assert "no clean" in found["hiss/lone.wav"]["notes"]
    assert "restored is 0.50 s shorter" in found["room/a.wav"]["notes"]
    assert found["hiss/lone.wav"]["restored_peak"]
    assert found["hiss/lone.wav"]["restored_lsd"] == ""
    assert report.failed == 4
    means = report.means(report.rows)
    assert set(means) == set(expected)
    assert all(count == 4 for _, count in means.values())
    summary = report.summary()
    assert "1 of clean without a restored one: gone.wav" in summary
    assert "5 restored without input: " in summary
    assert "4 restored without clean: " in summary
    assert "lone.wav, " in summary
    assert "LSD dB: mean over 4 of 9 files" in summary


def test_without_a_reference_the_input_is_compared_with(folders, loaded):
    report = evaluate.evaluate(folders / "restored", source=folders / "input")
    assert report.sides == ["input", "restored"]
    assert "LSD dB: left out: needs --reference" in report.summary()
    assert "Same: , input being the reference" in report.summary()
    head, _, *rows = cells(report.table())
    assert head == ["group", "side", "files", "Peak", "Same"]
    assert [row[-1] for row in rows] == ["-", "1.00"] * 3


def test_the_restored_alone(folders, loaded):
    report = evaluate.evaluate(folders / "restored")
    assert "Same: left out: needs --reference or --input" in report.summary()
    assert cells(report.table())[-1][:3] == ["all", "restored", "4"]


def test_files_beside_folders_make_no_groups(folders, loaded):
    write(folders / "restored/c.wav", speech())
    report = evaluate.evaluate(folders / "restored")
    assert list(report.groups()) == ["all"]


def test_what_is_not_defined_is_noted(tmp_path):
    class Undefined(Loudness):
        def score(self, heard, target=None):
            return [math.nan]

    write(tmp_path / "a.wav", speech())
    report = Report(["restored"], [Undefined()])
    report.add("a.wav", {"restored": tmp_path / "a.wav"})
    row = lines(report.files())["a.wav"]
    assert row["restored_peak"] == ""
    assert row["notes"] == "Peak not defined: restored"
    assert cells(report.table())[-1] == ["all", "restored", "1", "-"]


# The packages


def test_missing_packages_are_named(monkeypatch):
    real = importlib.import_module

    def without(name, *given):
        if name.split(".")[0] in PACKAGES:
            raise ImportError(f"No module named {name!r}")
        return real(name, *given)

    PACKAGES = {"speechmos", "pesq", "pystoi", "resemblyzer", "faster_whisper"}
    monkeypatch.setattr(importlib, "import_module", without)
    found, missing = metrics.load_metrics("whisper")
    assert [type(metric) for metric in found] == [metrics.LSD]
    for name in PACKAGES:
        assert any(name in line and "pip install" in line for line in missing)
    _, missing = metrics.load_metrics()
    assert "CER %: left out: no --recogniser given" in missing


def clips(delta=0.0):
    clean = speech(seconds=2.0).astype("float32")
    noise = numpy.random.default_rng(3).standard_normal(len(clean))
    noisy = (clean + delta * noise).astype("float32")
    return {
        "restored": Clip(noisy, noisy),
        "clean": Clip(clean, clean),
    }


@pytest.mark.parametrize(
    "maker, best", [(metrics.PESQ, 4.64), (metrics.ESTOI, 1.0)]
)
def test_intrusive_packages(maker, best):
    for name in maker.packages:
        pytest.importorskip(name)
    metric = maker()
    [same] = metric.measure("a.wav", clips(), "clean")["restored"]
    [noisy] = metric.measure("a.wav", clips(0.05), "clean")["restored"]
    assert same == pytest.approx(best, abs=0.01) and noisy < same - 0.1
    silent = numpy.zeros(RATE, dtype="float32")
    short = {side: Clip(silent[:99], silent[:99]) for side in clips()}
    [score] = metric.measure("a.wav", short, "clean")["restored"]
    assert math.isnan(score)


@pytest.mark.filterwarnings("ignore")
def test_resemblyzer():
    for name in metrics.SpeakerSimilarity.packages:
        pytest.importorskip(name)
    metric = metrics.SpeakerSimilarity()
    silent = Clip(numpy.full(RATE, 1e-3, dtype="float32"))
    [score] = metric.measure("a", {**clips(), "restored": silent}, "clean")[
        "restored"
    ]
    assert math.isnan(score)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dnsmos():
    for name in metrics.DNSMOS.packages:
        pytest.importorskip(name)
    scores = metrics.DNSMOS().measure("a.wav", clips(0.05), None)
    assert list(scores) == ["restored", "clean"]
    assert all(0.5 < value < 5 for value in scores["restored"])


def test_a_recogniser_that_is_none_is_one_line(tmp_path):
    pytest.importorskip("faster_whisper")
    with pytest.raises(UserError, match="no Whisper"):
        recognition.CharacterErrors(tmp_path)


# Character errors


class Parrot(recognition.CharacterErrors):
    """Hears a text for each length of a recording."""

    packages = {}

    def __init__(self, transcripts=None):
        self.recogniser = "parrot"
        self.transcripts = transcripts
        self.against = () if transcripts else ("clean", "input")

    def _text(self, wav, language):
        # The clean side comes first and gives the language to the others.
        assert language == (None if len(wav) == 3 else "en")
        return {1: "Hello word", 2: "", 3: "HELLO, world!"}[len(wav)], "en"


PARROT = {
    side: Clip(numpy.zeros(length))
    for side, length in (("input", 2), ("restored", 1), ("clean", 3))
}


def test_character_errors_against_what_is_heard_in_the_reference():
    scores = Parrot().measure("x/a.wav", PARROT, "clean")
    assert scores == {"input": [100.0], "restored": [pytest.approx(100 / 11)]}


def test_character_errors_against_transcripts():
    parrot = Parrot({"x/a": "Hello, word"})
    scores = parrot.measure("x/a.wav", PARROT, parrot.target(list(PARROT)))
    assert scores == {"input": [100], "restored": [0], "clean": [10]}
    [score] = parrot.measure("x/b.wav", PARROT, None)["restored"]
    assert math.isnan(score)


def test_the_clean_side_comes_before_the_input():
    for maker in (metrics.SpeakerSimilarity, Echo):
        metric = maker.__new__(maker)
        assert metric.target(["input", "restored", "clean"]) == "clean"
        assert metric.target(["input", "restored"]) == "input"
        assert metric.target(["restored"]) is None


def test_transcripts(tmp_path, folders):
    path = tmp_path / "texts.csv"
    path.write_text("\ufeffID,text\na,Été\nx/a,Two\n", encoding="utf-8")
    texts = read_transcripts(path)
    assert recognition.transcript(texts, "x/a.wav") == "Two"
    assert recognition.transcript(texts, "y/a.wav") == "Été"
    assert recognition.transcript(texts, "y/b.wav") is None
    with pytest.raises(UserError, match="--recogniser"):
        evaluate.evaluate(folders / "restored", transcripts=path)
    path.write_text("ID,words\na,b\n")
    with pytest.raises(UserError, match="no column 'text'"):
        read_transcripts(path)
    path.write_text("ID,text\nnobody,b\n")
    with pytest.raises(UserError, match="no ID there"):
        evaluate.evaluate(
            folders / "restored", recogniser="whisper", transcripts=path
        )


# The command


def run(*given):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["evaluate", *map(str, given)])
    return arguments.run(arguments)


def test_the_command_writes_and_prints(folders, loaded, capsys):
    given = ["--restored", folders / "restored", "--input", folders / "input"]
    given += ["--reference", folders / "clean", "--output", folders / "report"]
    assert run(*given) == 0
    said = capsys.readouterr().out
    summary = (folders / "report/summary.md").read_text("utf-8")
    table = (folders / "report/files.csv").read_bytes()
    assert summary in said and "4 measured, 0 failed" in said
    assert run(*given) == 0  # the same again
    assert (folders / "report/files.csv").read_bytes() == table
    (folders / "restored/bad.wav").write_text("no sound")
    assert run(*given) == 1


def test_the_output_is_a_folder(folders, loaded):
    (folders / "report").write_text("")
    with pytest.raises(UserError, match="give a folder"):
        run("--restored", folders / "restored", "--output", folders / "report")
