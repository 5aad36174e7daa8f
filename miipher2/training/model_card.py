"""The model card of a trained model, written from the files of its run.

Authors
 * The miipher2 authors 2026
"""

import math
import re
from pathlib import Path

from safetensors import safe_open

from miipher2 import __version__
from miipher2.dataio.manifests import read_manifest
from miipher2.errors import UserError
from miipher2.training.experiment import BACKBONE, CLEANER, VOCODER
from miipher2.training.overrides import read_yaml, yaml_tag

TRAIN_LOG = "train_log.txt"
SUMMARY = "summary.md"  # file written by miipher2 evaluate
LOG_ROWS = 8  # maximum number of validations in the table of losses
NOT_STATED = "not stated: ask the author before you use them"
MANIFESTS = {
    "train_csv": "speech, training",
    "valid_csv": "speech, validation",
    "test_csv": "speech, test",
    "noise_csv": "noise, training",
    "rir_csv": "room impulse responses, training",
}

CARD = """\
---
{metadata}
---

# {title}

A model that restores noisy, reverberant, band-limited, clipped or coded speech to
clean speech at {sample_rate:,} Hz. It is an open implementation of
[Miipher-2](https://arxiv.org/abs/2505.04457): adapters clean the features of a frozen
speech encoder, and a vocoder synthesises speech from the cleaned features. The model
was exported with miipher2 {version}. Hash of the model files: `{identity}`.

## Use

```bash
miipher2 restore INPUT OUTPUT --model {name}
```

```python
from miipher2 import Restorer

restorer = Restorer.from_hparams("{name}")
restorer.restore_file("noisy.wav", "restored.wav")
```

## Model

{parts}

## Training data

{data}

## Training

{training}

## Evaluation

{evaluation}

## Intended use and limitations

- Intended use: restoring recordings of speech, for example as training data for
  text-to-speech.
- The model can lose or change words, and it synthesises speech where the recording is
  inaudible. Do not use it where the wording matters (evidence, medicine, law) without
  listening to the original.
- Do not use it to make a recording appear to be something that it is not.
- Languages, voices and degradations outside the training data were not tested
  unless the evaluation above names them.
- Sounds other than speech, including music, are removed or distorted.

## Licences

| | licence |
|---|---|
| code (miipher2) | MIT |
| weights | {weights_licence} |
| training data | {data_licence} |

{encoder}
"""


def model_card(
    results, model, restorer, name, report=None, licences=(None, None)
):
    """Return the model card of a run.

    Arguments
    ---------
    results : Path
        The ``output_folder`` of stage 2.
    model : Path
        The exported model folder.
    restorer : miipher2.inference.restorer.Restorer
        The loaded model.
    name : str
        The value for ``--model``: a repository or a folder.
    report : Path
        Output folder of ``miipher2 evaluate``. None for no evaluation.
    licences : tuple of str
        Licences of the weights and of the training data. None for "not stated".

    Returns
    -------
    str
        The card as Markdown, with metadata for the Hugging Face hub.

    Raises
    ------
    UserError
        If ``results`` contains no run, or ``report`` contains no summary.
    """
    run = read_run(results)
    weights, data = licences
    return CARD.format(
        metadata=_metadata(weights),
        title=name.rpartition("/")[2],
        name=name,
        version=__version__,
        sample_rate=restorer.sample_rate,
        identity=restorer.identity,
        parts=_parts(model, run, restorer),
        data=_data_table(results, run),
        training=_training(results, run),
        evaluation=_evaluation(report),
        weights_licence=weights or NOT_STATED,
        data_licence=data or NOT_STATED,
        encoder=_encoder_licence(run),
    )


def read_run(results):
    """Read the settings of a training run.

    Arguments
    ---------
    results : Path
        The ``output_folder`` of the run.

    Returns
    -------
    dict
        Values in ``hyperparams.yaml``. YAML tags are kept.

    Raises
    ------
    UserError
        If the folder lacks ``hyperparams.yaml`` or ``train_log.txt``.
    """
    for name in ("hyperparams.yaml", TRAIN_LOG):
        if not (results / name).is_file():
            raise UserError(
                f"{results}: no {name}; expected the output_folder of a "
                "training run"
            )
    return read_yaml(results / "hyperparams.yaml")


def _metadata(licence):
    """Return the metadata of the card as YAML for the hub."""
    lines = [
        "library_name: miipher2",
        "pipeline_tag: audio-to-audio",
        "tags: [speech-restoration, speech-enhancement, speechbrain]",
    ]
    if licence and re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence.lower()):
        # licence names on the hub have this form
        lines.insert(0, f"license: {licence.lower()}")
    elif licence:
        lines.insert(0, "license: other")
    return "\n".join(lines)


def _source(run):
    """Return the name of the backbone, or the last part of an absolute path.

    None for a backbone that is built from a config.
    """
    source = run.get("ssl_source")
    if yaml_tag(source) or not isinstance(source, str):
        return None
    return Path(source).name if Path(source).is_absolute() else source


def _encoder_licence(run):
    """Return a sentence on the licence of the backbone."""
    source = _source(run)
    if source is None:
        return "The encoder contains no weights from another project."
    return (
        f"The weights contain the encoder `{source}`, whose licence applies to "
        "that part."
    )


def _parts(model, run, restorer):
    """Return a table of the parts of the model."""
    vocoder = type(restorer.mods.generator).__name__
    placement = run.get("adapter_placement", "feed_forward")
    rows = [
        (
            f"encoder: {_source(run) or 'built from a config'}, "
            f"layer {run.get('ssl_layer')}",
            BACKBONE,
            _parameters(sorted((model / BACKBONE).glob("*.safetensors"))),
        ),
        (
            f"adapters, {placement.replace('_', '-')} placement",
            CLEANER,
            _parameters([model / CLEANER]),
        ),
        (f"vocoder: {vocoder}", VOCODER, _parameters([model / VOCODER])),
    ]
    return _table(["part", "file", "parameters"], rows)


def _parameters(paths):
    """Return the number of parameters in weight files, in millions, as text."""
    count = 0
    for path in paths:
        with safe_open(str(path), "pt") as file:
            for name in file.keys():
                count += math.prod(file.get_slice(name).get_shape())
    return f"{count / 1e6:.1f} M"


def _data_table(results, run):
    """Return a table of the recordings, hours and speakers in each manifest."""
    rows = []
    for key, title in MANIFESTS.items():
        path = run.get(key)
        if path is None:
            continue
        path = _find(results, path)
        if path is None:
            rows.append((title, "manifest not found", "", ""))
            continue
        # a manifest may list a recording several times
        recordings = {row["wav"]: row for row in read_manifest(path, "")}
        hours = sum(row["duration"] for row in recordings.values()) / 3600
        speakers = {row.get("spk_id") for row in recordings.values()}
        count = len(speakers) if title.startswith("speech") else ""
        rows.append((title, f"{len(recordings):,}", f"{hours:.2f}", count))
    return _table(["", "recordings", "hours", "speakers"], rows)


def _find(results, path):
    """Return the path of a file, even if its run was moved; None if missing."""
    for candidate in (Path(path), results / Path(path).name):
        if candidate.is_file():
            return candidate
    return None


def _training(results, run):
    """Return steps, settings and losses of stage 2 and, if found, stage 1."""
    text = [_stage("Stage 2, vocoder", results, run)]
    cleaner = run.get("cleaner_folder")
    start = run.get("start_folder")
    if start is not None:
        text.append(f"Initialised from the model `{Path(start).name}`.")
    if cleaner is not None:
        for folder in (Path(cleaner), Path(cleaner).parent):
            if (folder / TRAIN_LOG).is_file() and folder != results:
                stage = read_run(folder)
                text.insert(0, _stage("Stage 1, adapters", folder, stage))
                break
    return "\n\n".join(text)


def _stage(title, folder, run):
    """Return the settings of a stage and a table of its log."""
    keys = ("batch_size", "batch_seconds", "segment_seconds", "lr", "seed")
    settings = ", ".join(
        f"{key} {run[key]}" for key in keys if run.get(key) is not None
    )
    lines = [
        dict(re.findall(r"([A-Za-z][\w ]*): ([^,\s]+)", line))
        for line in (folder / TRAIN_LOG).read_text("utf-8").splitlines()
    ]
    lines = [line for line in lines if "step" in line]
    losses = [line for line in lines if "train loss" in line]
    every = max(1, math.ceil(len(losses) / LOG_ROWS))
    shown = losses[::-every][::-1] + [x for x in lines if x not in losses]
    columns = list(dict.fromkeys(name for line in shown for name in line))
    steps = int(lines[-1]["step"]) if lines else 0
    table = [[line.get(name, "") for name in columns] for line in shown]
    return f"{title}: {steps:,} steps ({settings}).\n\n{_table(columns, table)}"


def _evaluation(report):
    """Return the summary of a report, with headings two levels lower."""
    if report is None:
        return (
            "Not evaluated. `miipher2 evaluate` computes objective metrics; "
            "`miipher2 export-model --report` adds them to this card."
        )
    path = Path(report, SUMMARY)
    if not path.is_file():
        raise UserError(
            f"--report {report}: no {SUMMARY}; expected the --output folder of "
            "miipher2 evaluate"
        )
    text = path.read_text("utf-8").strip()
    return re.sub(r"^#", "###", text, flags=re.M)


def _table(heading, rows):
    """Return a Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
