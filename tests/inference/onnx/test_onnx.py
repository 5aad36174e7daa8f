"""Tests of the export to ONNX and of restoration with onnxruntime.

Authors
 * The miipher2 authors 2026
"""

import argparse
import itertools
import subprocess
import sys

import numpy
import onnx
import pytest
import soundfile
import torch
from tiny_models import FAMILIES
from tiny_restorer import VOCODERS, save_tiny_restorer, voice
from tiny_runs import ROOT

from miipher2.cli import main
from miipher2.errors import UserError
from miipher2.inference.corpus.sharding import load_restorer
from miipher2.inference.onnx import export, graph
from miipher2.inference.onnx.restorer import OnnxRestorer
from miipher2.inference.onnx.weights import quantise
from miipher2.inference.restorer import Restorer

# Minimum signal-to-error ratio in dB. Rounding changes the pitch slightly, so
# the phase error grows with time.
MIN_RATIO_DB = 35


class Exported:
    """A tiny model and its ONNX file."""

    def __init__(self, folder, family, vocoder, weights="fp32"):
        self.folder = save_tiny_restorer(folder, family, vocoder)
        self.path = folder / "model.onnx"
        self.line = export.export_onnx(self.folder, self.path, weights)

    @property
    def restorers(self):
        """Restorers with PyTorch and with onnxruntime."""
        torch_restorer = Restorer.from_hparams(
            self.folder, run_opts={"device": "cpu", "precision": "fp32"}
        )
        return torch_restorer, OnnxRestorer(self.path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a model like the default model: Whisper and a stateful vocoder."""
    folder = tmp_path_factory.mktemp("onnx")
    return Exported(folder, "whisper", "harmonic.HarmonicVocoder")


def assert_close(expected, found, ratio_db=MIN_RATIO_DB):
    """Check the shapes and the signal-to-error ratio."""
    expected, found = numpy.asarray(expected), numpy.asarray(found)
    assert expected.shape == found.shape
    assert numpy.abs(expected).max() > 0.001
    error = numpy.square(found - expected).mean()
    assert error < 10 ** (-ratio_db / 10) * numpy.square(expected).mean()


@pytest.mark.parametrize("seconds", [0.01, 0.5, 3.999, 11.3])
def test_clips_are_restored_as_with_pytorch(exported, seconds):
    wav = voice(seconds, 24000)
    expected, found = (r.restore(wav) for r in exported.restorers)
    assert_close(expected, found)


def test_each_window_needs_the_state_of_the_previous_window(
    exported, monkeypatch
):
    restorer, other = exported.restorers
    wav = voice(11.3, 24000)
    expected = restorer.restore(wav)
    monkeypatch.setattr(other, "has_state", False)
    with pytest.raises(ValueError, match="start"):
        other.restore(wav)
    monkeypatch.undo()
    run = other.session.run
    monkeypatch.setattr(
        other,
        "session",
        argparse.Namespace(
            run=lambda names, inputs: run(
                names, inputs | {"phase": 0 * inputs["phase"]}
            )
        ),
    )
    with pytest.raises(AssertionError):
        assert_close(expected, other.restore(wav))


def test_a_padded_batch_is_restored_as_with_pytorch(exported):
    restorer, other = exported.restorers
    wavs = torch.from_numpy(numpy.stack([voice(1, 24000, i) for i in (0, 1)]))
    lengths = torch.tensor([1.0, 0.5])
    expected, _, _ = restorer.restore_windows(wavs, lengths)
    found, presence, states = other.restore_windows(wavs, lengths)
    assert presence is None and states == {}
    assert_close(expected[0], found[0])
    assert_close(expected[1, :11000], found[1, :11000], ratio_db=20)
    assert (found[1, 12000:] == 0).all()


def test_int8_weights_change_the_output_by_less_than_2_db(exported):
    model = onnx.load(exported.path)
    before = model.ByteSize()
    quantise(model)
    assert model.ByteSize() < before
    onnx.checker.check_model(model)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    weight = tensors["backbone.model.conv1.weight.int8"]
    assert weight.data_type == onnx.TensorProto.INT8
    assert weight.name.removesuffix(".int8") not in tensors
    assert "vocoder.vocoder.stft.analysis" in tensors
    int8 = OnnxRestorer(model.SerializeToString())
    outputs = map(export.check_output, (exported.restorers[0], int8))
    difference = export.mel_difference(*outputs, 24000)
    assert 0.01 < difference < 2.0


def test_the_command_restores_files_and_skips_finished_files(
    exported, tmp_path, capsys
):
    wav = tmp_path / "in" / "a.wav"
    wav.parent.mkdir()
    soundfile.write(wav, voice(6, 16000), 16000)
    found, expected = tmp_path / "onnx", tmp_path / "torch"
    for model, output in ((exported.path, found), (exported.folder, expected)):
        command = ["restore", wav.parent, output, "--model", model]
        if model != exported.path:
            command += ["--precision", "fp32"]
        assert main([*map(str, command)]) == 0
    audio = [soundfile.read(out / "a.wav")[0] for out in (expected, found)]
    assert_close(*audio)
    capsys.readouterr()
    command = ["restore", wav.parent, found, "--model", exported.path]
    assert main([*map(str, command)]) == 0
    assert "nothing to restore" in capsys.readouterr().out


def test_no_pytorch_model_is_built(exported, tmp_path):
    wav = tmp_path / "a.wav"
    soundfile.write(wav, voice(0.5, 24000), 24000)
    program = (
        "import sys, miipher2.cli\n"
        "assert miipher2.cli.main(sys.argv[1:]) == 0\n"
        "built = {'miipher2.models', 'transformers', 'onnx'}\n"
        "assert not built & set(sys.modules)"
    )
    command = ["restore", wav, tmp_path / "b.wav", "--model", exported.path]
    subprocess.check_call([sys.executable, "-c", program, *command])
    assert soundfile.info(tmp_path / "b.wav").frames == 12000


def test_the_program_in_the_documentation_restores_a_file(exported, tmp_path):
    page = (ROOT / "docs/onnx.md").read_text("utf-8")
    code = page.split("<!-- onnxruntime -->\n```python\n")[1].split("```")[0]
    (tmp_path / "restore_onnx.py").write_text(code, "utf-8")
    wav = voice(11, 24000)
    soundfile.write(tmp_path / "a.wav", wav, 24000)
    files = [exported.path, tmp_path / "a.wav", tmp_path / "b.wav"]
    program = [sys.executable, tmp_path / "restore_onnx.py", *files]
    subprocess.run(program, check=True, env={})
    found, rate = soundfile.read(tmp_path / "b.wav")
    expected = exported.restorers[1].restore(wav).numpy()
    assert (rate, len(found)) == (24000, len(wav))
    correlation = numpy.corrcoef(expected, found[: len(expected)])[0, 1]
    assert correlation > 0.8


def test_the_file_contains_metadata_but_no_local_paths(exported):
    model = onnx.load(exported.path)
    onnx.checker.check_model(model)
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    assert metadata["miipher2.window"] == "200"
    assert metadata["miipher2.overlap"] == "50"
    assert metadata["miipher2.sample_rate"] == "24000"
    assert metadata["miipher2.weights"] == "fp32"
    content = exported.path.read_bytes()
    assert str(exported.folder.parent).encode() not in content
    assert b"site-packages" not in content and b"graph.py" not in content


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "vocoder"),
    zip(FAMILIES, itertools.cycle(VOCODERS), strict=False),
)
def test_every_family_and_vocoder_can_be_exported(tmp_path, family, vocoder):
    exported = Exported(tmp_path, family, vocoder)
    for seconds in (0.5, 6):
        wav = voice(seconds, exported.restorers[0].input_rate)
        expected, found = (r.restore(wav) for r in exported.restorers)
        assert_close(expected, found)


def test_unusable_outputs_are_rejected_before_the_model_is_loaded(
    tmp_path, capsys
):
    existing = tmp_path / "a.onnx"
    existing.write_bytes(b"mine")
    for output, message in (
        (existing, "exists; choose a different name"),
        (tmp_path / "b.pt", "ends in .onnx"),
    ):
        with pytest.raises(SystemExit):
            main(["export-onnx", "no-such-model", str(output)])
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert existing.read_bytes() == b"mine"
    assert sorted(tmp_path.iterdir()) == [existing]


def test_a_file_that_differs_from_pytorch_is_not_written(
    exported, tmp_path, monkeypatch
):
    monkeypatch.setattr(graph, "to_onnx", lambda _: onnx.load(exported.path))
    monkeypatch.setattr(export, "mel_difference", lambda *_: 0.2)
    with pytest.raises(UserError, match=r"differs from PyTorch's by 0.20 dB"):
        export.export_onnx(exported.folder, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_model_that_cannot_be_converted_is_an_error(
    exported, tmp_path, monkeypatch
):
    from miipher2.models.vocoders.hifigan import HiFiGAN

    def complex_forward(self, features, recording=None, pitch=None):
        wav = torch.fft.rfft(features.flatten(1)).angle()
        return torch.linalg.eigvals(wav[:, None].mT @ wav[:, None]).abs(), None

    folder = save_tiny_restorer(tmp_path)
    monkeypatch.setattr(HiFiGAN, "forward", complex_forward)
    with pytest.raises(UserError, match="HiFiGAN and hubert cannot"):
        export.export_onnx(folder, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_an_unknown_vocoder_with_states_is_an_error(tmp_path, monkeypatch):
    from miipher2.models.vocoders.hifigan import HiFiGAN

    folder = save_tiny_restorer(tmp_path)
    monkeypatch.setattr(HiFiGAN, "synthesise", lambda *arguments: None)
    with pytest.raises(UserError, match="HiFiGAN: cannot be exported, because"):
        export.export_onnx(folder, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize("content", [None, b"", b"not a model", "other"])
def test_missing_and_invalid_files_are_rejected(tmp_path, content):
    path = tmp_path / "wrong.onnx"
    if content == "other":
        other = onnx.parser.parse_graph(
            "g (float[1] x) => (float[1] y) {y = Abs(x)}"
        )
        content = onnx.helper.make_model(
            other,
            ir_version=10,
            opset_imports=[onnx.helper.make_opsetid("", 20)],
        ).SerializeToString()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"wrong.onnx: (no such|.* export-onnx)"
    ):
        OnnxRestorer(path)


@pytest.mark.parametrize(
    "options", [{"device": "cuda"}, {"precision": "bf16"}, {"device": "mps"}]
)
def test_pytorch_options_are_rejected(exported, options):
    arguments = {"device": None, "precision": None, "trust_model": False}
    arguments |= {"model": str(exported.path), **options}
    with pytest.raises(UserError, match=f"--{next(iter(options))}"):
        load_restorer(argparse.Namespace(**arguments))


def test_an_onnx_file_is_not_accepted_as_a_model_folder(exported):
    with pytest.raises(UserError, match="an ONNX file"):
        Restorer.from_hparams(exported.path)


def test_missing_packages_are_reported(exported, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="onnxruntime: pip install onnxruntime"):
        OnnxRestorer(exported.path)
    with pytest.raises(UserError, match=r"export-onnx needs onnxruntime: pip"):
        export.export_onnx(exported.folder, tmp_path / "a.onnx")
