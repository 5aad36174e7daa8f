"""Export of a trained model to a self-contained folder.

Authors
 * The miipher2 authors 2026
"""

import shlex
import shutil
import tempfile
from pathlib import Path

from miipher2.dataio.atomic import write_text
from miipher2.errors import UserError
from miipher2.inference.devices import run_once
from miipher2.inference.hub import check_name, upload
from miipher2.inference.model_folder import (
    HYPERPARAMS,
    find_model,
    update_names,
)
from miipher2.inference.restorer import Restorer
from miipher2.training.model_card import model_card, read_run

CARD = "README.md"
# Files that restoration does not need
NOT_EXPORTED = ("discriminator.safetensors", "head.safetensors")


def export_model(
    results, output, report=None, licences=(None, None), push=None
):
    """Export a model with a model card, and optionally upload it.

    Arguments
    ---------
    results : str or Path
        The ``output_folder`` of stage 2.
    output : str or Path
        Output folder, which must be new or empty. The files are written to a
        temporary folder, which is renamed when it is complete.
    report : str or Path
        Output folder of ``miipher2 evaluate``, whose summary is added to the
        card. None for a card without evaluation.
    licences : tuple of str
        Licences of the weights and of the training data. None for "not stated".
    push : str
        Repository on the Hugging Face hub for the upload, ``USER/NAME``. None
        for no upload.

    Returns
    -------
    str
        One line with the output folder and a command that uses the model.

    Raises
    ------
    UserError
        If there is no finished run, if the output folder contains files, if the
        report contains no summary, if the model needs code that other users do
        not have, if ``push`` is not a valid name, or if the upload fails.
    """
    results, output = Path(results), Path(output)
    if push is not None:
        check_name(push)
    _check_output(output)
    if not results.is_dir():
        raise UserError(f"{results}: no such folder")
    model = find_model(results)
    read_run(results)  # reports missing files before the weights are copied
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=output.absolute().parent, prefix=f".{output.name}-"
    ) as folder:
        copy = Path(folder, "model")
        copy_model(model, copy)
        restorer = Restorer.from_hparams(copy, run_opts={"device": "cpu"})
        run_once(restorer)
        name = push or output.name
        card = model_card(results, copy, restorer, name, report, licences)
        write_text(copy / CARD, card)
        del restorer  # Windows cannot rename a folder with open files
        if output.exists():
            output.rmdir()
        copy.rename(output)
    line = f"The model and its card are in {output}."
    use = str(output)
    if push is not None:
        commit = upload(output, push)
        use = push
        line += f" Uploaded to {push} (revision {commit})."
    use = shlex.quote(use)
    return f"{line} Restore with: miipher2 restore INPUT OUTPUT --model {use}"


def copy_model(model, output):
    """Copy the files that restoration needs from a model folder.

    Arguments
    ---------
    model : Path
        Model folder written by stage 2.
    output : Path
        Output folder. In its YAML, class and argument names are up to date, and
        a ``warm_start`` key without a value is removed.
    """
    text = update_names((model / HYPERPARAMS).read_text("utf-8"))
    write_text(output / HYPERPARAMS, _without_warm_start(text))
    for path in sorted(model.rglob("*")):
        if path.suffix in (".safetensors", ".json"):
            if path.name not in NOT_EXPORTED:
                copy = output / path.relative_to(model)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


def _without_warm_start(text):
    """Remove ``warm_start`` from a model's YAML if it has no value."""
    lines = text.splitlines(keepends=True)
    unset = ("warm_start:", "warm_start: null")
    return "".join(line for line in lines if line.strip() not in unset)


def _check_output(output):
    """Raise a ``UserError`` if a path is a file or a folder with files."""
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise UserError(
            f"{output}: exists; remove it, or choose a different folder"
        )
