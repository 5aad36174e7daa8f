"""Tests of the demo page in headless Chromium.

Authors
 * The miipher2 authors 2026
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import wave

import numpy
import pytest
import soundfile
from tiny_restorer import voice

MAX_SECONDS = 10.0
SECONDS = 6.0  # longer than a window of the tiny model
TIMEOUT = 60  # seconds; the machine may be busy
# Runs the command line and logs the addresses to which it connects.
PROGRAM = """
import sys
log = open(sys.argv.pop(1), "w", buffering=1)
def hook(event, values):
    if event in ("socket.connect", "socket.sendto"):
        print(event, values[1], file=log)
    elif event == "socket.getaddrinfo":
        print(event, values[0], file=log)
sys.addaudithook(hook)
from miipher2.cli import main
sys.exit(main())
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def temporary(tmp_path_factory):
    """Return the folder of the server's temporary files."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="session")
def server(tiny_model, temporary, tmp_path_factory):
    """Run ``miipher2 demo`` with a tiny model; yield its URL, then stop it."""
    pytest.importorskip("gradio")
    log = tmp_path_factory.mktemp("server") / "connections.txt"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = f"--port {port} --max-seconds {MAX_SECONDS}".split()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(log), "demo"]
        + ["--model", str(tiny_model), *options],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # SIGINT is ignored if a shell started the tests in the background.
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),
    )
    try:
        started = process.stdout.readline()
        assert f"http://127.0.0.1:{port}" in started, process.stderr.read()
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert (process.returncode, error) == (130, "interrupted\n")
    assert not list(temporary.rglob("*.wav"))
    connections = log.read_text().splitlines()
    assert connections
    assert all(" 127.0.0.1" in x or "('127.0.0.1'" in x for x in connections)


@pytest.fixture
def open_tab(browser, server):
    """Yield a function that opens the page; afterwards, check for errors."""
    problems, contexts = [], []

    def open_(width=1000, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(TIMEOUT * 1000)
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("console", lambda message: log(message))
        tab.on("request", lambda request: check(request.url))
        tab.goto(server)
        tab.get_by_role("button", name="Restore", exact=True).wait_for()
        return tab

    def log(message):
        if message.type == "error":
            problems.append(message.text)

    def check(url):
        if not url.startswith((server, "data:", "blob:")):
            problems.append(f"a request to {url}")

    open_.problems = problems
    yield open_
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(scope="session")
def noisy(tmp_path_factory):
    """Return a noisy recording."""
    path = tmp_path_factory.mktemp("recordings") / "noisy.wav"
    soundfile.write(path, voice(SECONDS), 16000)
    return path


def upload(tab, path):
    tab.set_input_files("#recording input[type=file]", path)
    tab.locator("#recording audio, #recording #waveform").first.wait_for(
        state="attached"
    )
    # Wait until the page has cleared the last result.
    tab.wait_for_load_state("networkidle")


def press_restore(tab):
    tab.get_by_role("button", name="Restore", exact=True).click()


def wait_for_result(tab):
    tab.locator("#status [role=status]").wait_for()


def message(tab):
    alert = tab.locator("#status [role=alert]")
    alert.wait_for()
    return alert.inner_text()


def downloaded(tab):
    """Download the restored file; return its name, rate and samples."""
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download").or_(
            tab.get_by_role("button", name="Download")
        ).first.click()
    samples, rate = soundfile.read(download.value.path())
    return download.value.suggested_filename, rate, samples


def test_a_noisy_file_is_restored_shown_and_downloaded(
    open_tab, noisy, temporary
):
    tab = open_tab()
    upload(tab, noisy)
    press_restore(tab)
    wait_for_result(tab)
    assert "Restored 6.0 s with" in tab.locator("#status").inner_text()
    # The player shows the duration of the audio and plays it.
    tab.locator("#restored #duration", has_text="0:06").wait_for()
    tab.locator("#restored").get_by_role(
        "button", name="Play", exact=True
    ).click()
    tab.wait_for_function(
        "document.querySelector('#restored #time').textContent != '0:00'"
    )
    name, rate, samples = downloaded(tab)
    assert (name, rate) == ("noisy_restored.wav", 24000)
    assert len(samples) == SECONDS * 24000
    assert numpy.abs(samples).max() > 0.01
    images = tab.locator("#spectrograms img")
    assert images.count() == 2
    sizes = images.evaluate_all(
        "all => all.map(i => [i.complete, i.naturalWidth, i.naturalHeight])"
    )
    assert sizes[0] == sizes[1] and sizes[0][0] and sizes[0][1] > 100
    scales = tab.locator("#spectrograms .frequency").all_inner_texts()
    assert scales[0] == scales[1] and "12 kHz" in scales[0]
    # The server fixture checks that these files are deleted at the end.
    names = {path.name for path in temporary.rglob("*.wav")}
    assert names == {"noisy.wav", "noisy_restored.wav"}
    # Another recording clears the result.
    tab.get_by_role("button", name="Telephone band, car").click()
    images.first.wait_for(state="detached")
    assert not tab.locator("#status [role=status]").count()


def test_a_text_file_gives_a_one_line_error(open_tab, tmp_path):
    path = tmp_path / "letter.wav"
    path.write_text("Dear reader,\nthis is not a recording.\n" * 20)
    tab = open_tab()
    upload(tab, path)
    press_restore(tab)
    text = message(tab)
    assert text.startswith("letter.wav: cannot be read as audio")
    assert "\n" not in text
    # The browser's player cannot play the file either and logs errors.
    assert all("MediaError" in problem for problem in open_tab.problems)
    open_tab.problems.clear()


def test_a_long_file_gives_an_error_with_the_limit(open_tab, tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, numpy.zeros(int(8000 * MAX_SECONDS) + 8000), 8000)
    tab = open_tab()
    upload(tab, path)
    press_restore(tab)
    assert message(tab) == (
        "long.wav: longer than 10 s, the limit of this page; use miipher2 "
        "restore, which has no limit"
    )


def test_a_large_file_is_not_uploaded(open_tab, tmp_path):
    path = tmp_path / "large.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 192000, 0, "NONE", ""))
        file.writeframes(bytes(2**22))
    tab = open_tab()
    tab.set_input_files("#recording input[type=file]", path)
    limit = re.compile(r"exceed the maximum allowed size of 4(\.0)? Mb")
    tab.get_by_text(limit).first.wait_for()
    # The page requests the file that was not uploaded.
    assert all(p == "Response" or "404" in p for p in open_tab.problems)
    open_tab.problems.clear()


def test_restore_without_a_recording_is_an_error(open_tab):
    tab = open_tab()
    press_restore(tab)
    assert message(tab) == "Upload or record something first."


def test_two_tabs_used_at_once_show_their_own_results(
    open_tab, noisy, tmp_path
):
    other = tmp_path / "other.wav"
    soundfile.write(other, voice(3.0, 8000, seed=3), 8000)
    tabs = [open_tab(), open_tab()]
    for tab, path in zip(tabs, (noisy, other), strict=True):
        upload(tab, path)
    for tab in tabs:
        press_restore(tab)
    results = []
    for tab in tabs:
        wait_for_result(tab)
        name, _, samples = downloaded(tab)
        results.append((name, len(samples)))
    assert results == [
        ("noisy_restored.wav", SECONDS * 24000),
        ("other_restored.wav", 3 * 24000),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_needs_no_horizontal_scrolling(open_tab, noisy, scheme):
    tab = open_tab(width=390, scheme=scheme)
    upload(tab, noisy)
    press_restore(tab)
    wait_for_result(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    background = tab.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g)"
    )
    bright = sum(map(int, background[:3])) > 3 * 128
    assert bright == (scheme == "light"), json.dumps(background)
    images = tab.locator("#spectrograms img")
    boxes = [images.nth(index).bounding_box() for index in range(2)]
    assert boxes[0]["x"] == boxes[1]["x"] and boxes[0]["y"] < boxes[1]["y"]
    assert boxes[0]["width"] > 200
