"""Test of docs/onnx.html, which runs a model in the browser.

Authors
 * The miipher2 authors 2026
"""

import functools
import http.server
import io
import shutil
import threading

import numpy
import pytest
import soundfile
import torch
from tiny_restorer import save_tiny_restorer, voice
from tiny_runs import ROOT

from miipher2.inference.onnx.export import export_onnx
from miipher2.inference.onnx.restorer import OnnxRestorer

PACKAGE = ROOT / "node_modules/onnxruntime-web/dist"
FILES = (
    "ort.wasm.min.js",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)


class Handler(http.server.SimpleHTTPRequestHandler):
    """A request handler that serves a folder and logs nothing."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Serve the page, onnxruntime-web and a tiny model.

    Yields the folder and the address of the page.
    """
    if not PACKAGE.exists():
        pytest.skip("needs onnxruntime-web: npm install onnxruntime-web")
    folder = tmp_path_factory.mktemp("site")
    for name in FILES:
        shutil.copy(PACKAGE / name, folder)
    shutil.copy(ROOT / "docs/onnx.html", folder)
    model = save_tiny_restorer(
        tmp_path_factory.mktemp("model"), "whisper", "harmonic.HarmonicVocoder"
    )
    export_onnx(model, folder / "model.onnx")
    handler = functools.partial(Handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/onnx.html"
    server.shutdown()


@pytest.mark.slow
def test_a_clip_is_restored_in_the_browser(site, browser, tmp_path):
    folder, address = site
    wav = voice(3, 24000)
    soundfile.write(tmp_path / "a.wav", wav, 24000, subtype="FLOAT")
    page = browser.new_page()
    page.goto(address)
    page.wait_for_function(
        "document.getElementById('status').textContent.startsWith('Choose')",
        timeout=120000,
    )
    page.set_input_files("#file", tmp_path / "a.wav")
    page.wait_for_function(
        "/estored/.test(document.getElementById('status').textContent)",
        timeout=120000,
    )
    assert page.inner_text("#status").startswith("Restored 3.0 s in ")
    content = page.evaluate(
        "fetch(document.getElementById('restored').src)"
        ".then(answer => answer.arrayBuffer())"
        ".then(content => Array.from(new Uint8Array(content)))"
    )
    found, rate = soundfile.read(io.BytesIO(bytes(content)))
    gain = 10 ** (-26 / 20) / numpy.sqrt(numpy.square(wav).mean())
    restorer = OnnxRestorer(folder / "model.onnx")
    expected, _, _ = restorer.restore_windows(
        torch.from_numpy(wav * gain)[None]
    )
    expected = expected[0].numpy() / gain
    assert rate == 24000 and found.shape == expected.shape
    assert numpy.abs(expected).max() > 0.001
    error = numpy.square(found - expected).mean()
    assert error < 1e-3 * numpy.square(expected).mean()
    page.set_input_files("#file", folder / "ort.wasm.min.js")
    page.wait_for_function(
        "document.getElementById('status').textContent.startsWith('Not rest')"
    )
    page.close()
