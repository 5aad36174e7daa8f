"""A report on the exported model: its scores on the test clips.

Authors
 * The miipher2 authors 2026
"""

import shutil
from pathlib import Path

from miipher2.dataio.audio import write_audio
from miipher2.dataio.output_names import portable_name
from miipher2.evaluation.evaluate import evaluate
from miipher2.inference.restorer import Restorer

PEAK = 0.99  # clips with a higher peak are scaled to this peak


def write_report(output_folder, test_set, device="cpu", **options):
    """Restore the test clips with the exported model and evaluate them.

    Arguments
    ---------
    output_folder : str or Path
        Folder of the run, with the exported model in ``model``. The clips and
        the report are written to ``evaluation`` in this folder.
    test_set : miipher2.training.epoch_dataset.EpochDataset
        The test clips. The report groups them by kind of degradation.
    device : str
        Device on which the clips are restored.
    **options : dict
        Arguments of ``miipher2.evaluation.evaluate.evaluate``, such as
        ``metrics`` and ``recogniser``.

    Returns
    -------
    str
        One line with the path of the report.

    Example
    -------
    >>> write_report("results/vocoder/1234", test_set)  # doctest: +SKIP
    'Scores of the test clips: results/vocoder/1234/evaluation/report.html'
    """
    folder = Path(output_folder, "evaluation")
    names = ("input", "restored", "clean")
    inputs, restored, clean = folders = [folder / name for name in names]
    for path in folders:
        shutil.rmtree(path, ignore_errors=True)  # left by an earlier run
    restorer = Restorer.from_hparams(
        Path(output_folder, "model"), run_opts={"device": device}
    )
    for index in range(len(test_set)):
        name, *wavs = _clip(test_set[0, index], restorer.sample_rate)
        for path, (wav, rate) in zip((inputs, clean), wavs, strict=True):
            write_audio(path / name, wav, rate)
        restorer.restore_file(inputs / name, restored / name)
    evaluate(restored, folder, reference=clean, source=inputs, **options)
    return f"Scores of the test clips: {folder / 'report.html'}"


def _clip(item, sample_rate):
    """Return the file name, the input and the clean speech of a test clip."""
    kind, _, name = item["id"].partition("/")
    source, rate = item["noisy"], 16000
    if "recording" in item:
        source, rate = item["recording"], sample_rate
    clean = item["target"]
    peak = max(float(wav.abs().max()) for wav in (source, clean))
    gain = min(1.0, PEAK / max(peak, PEAK))
    return (
        f"{kind}/{portable_name(name)}.wav",
        (gain * source, rate),
        (gain * clean, sample_rate),
    )
