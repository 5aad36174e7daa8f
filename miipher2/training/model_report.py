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

PEAK = 0.99  # of the clips that would be clipped


def write_report(output_folder, test_set, device="cpu", **options):
    """Restore the test clips with the exported model and evaluate them.

    Arguments
    ---------
    output_folder : str or Path
        Of the run; its folder ``model`` has the model. The clips and the report
        are written to its folder ``evaluation``.
    test_set : miipher2.training.epoch_dataset.EpochDataset
        The clips. Their kinds of degradation are the conditions of the report.
    device : str
        Where to restore.
    **options : dict
        Arguments of ``miipher2.evaluation.evaluate.evaluate``, such as
        ``metrics`` and ``recogniser``.

    Returns
    -------
    str
        Where the report is, in one line.

    Example
    -------
    >>> write_report("results/vocoder/1234", test_set)  # doctest: +SKIP
    'Scores of the test clips: results/vocoder/1234/evaluation/report.html'
    """
    folder = Path(output_folder, "evaluation")
    sides = {side: folder / side for side in ("input", "restored", "clean")}
    for path in sides.values():
        shutil.rmtree(path, ignore_errors=True)  # of an earlier run
    restorer = Restorer.from_hparams(
        Path(output_folder, "model"), run_opts={"device": device}
    )
    for index in range(len(test_set)):
        name, *wavs = _clip(test_set[0, index], restorer.sample_rate)
        for side, (wav, rate) in zip(("input", "clean"), wavs, strict=True):
            write_audio(sides[side] / name, wav, rate)
        restorer.restore_file(sides["input"] / name, sides["restored"] / name)
    evaluate(
        sides["restored"],
        folder,
        reference=sides["clean"],
        source=sides["input"],
        **options,
    )
    return f"Scores of the test clips: {folder / 'report.html'}"


def _clip(item, sample_rate):
    """Return the file name of a test clip, its input and its clean side."""
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
