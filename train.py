#!/usr/bin/env python3
"""Trains any stage of Miipher-2; the YAML says which and how.

To run both stages:
> python train.py hparams/pa.yaml --data_folder=SPEECH --noise_folder=NOISE --rir_folder=RIRS
> python train.py hparams/vocoder.yaml --data_folder=SPEECH --noise_folder=NOISE --rir_folder=RIRS

Settings kept in a file, one argument a line, later ones win:
> python train.py hparams/pa.yaml @hparams/compact/pa.args --data_folder=SPEECH

A backbone of your own, before both:
> python train.py hparams/ssl.yaml --data_folder=SPEECH --noise_folder=NOISE --rir_folder=RIRS

Authors
 * The miipher2 authors 2026
"""

import sys
from pathlib import Path

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process, run_on_main

from miipher2.dataio.manifests import prepare_noise, prepare_rirs
from miipher2.errors import UserError, one_line_errors
from miipher2.training.experiment import load_cleaner, load_hparams, start_from

# The prepare scripts, by which the YAML names a corpus
sys.path += map(str, Path(__file__).resolve().parent.glob("recipes/*"))


def prepare(hparams):
    """Writes the manifests of speech, noise and rooms."""
    skip_prep = hparams["skip_prep"]
    hparams["prepare"](
        hparams["data_folder"],
        hparams["train_csv"],
        hparams["valid_csv"],
        hparams["test_csv"],
        skip_prep=skip_prep,
    )
    for name, prepare_folder in (
        ("noise", prepare_noise),
        ("rir", prepare_rirs),
    ):
        if hparams[f"{name}_folder"] is not None:
            prepare_folder(
                hparams[f"{name}_folder"],
                hparams[f"{name}_csv"],
                hparams[f"valid_{name}_csv"],
                skip_prep=skip_prep,
            )
        for key in (f"{name}_csv", f"valid_{name}_csv"):
            if hparams[key] is not None and not Path(hparams[key]).exists():
                raise UserError(
                    f"{hparams[key]}: no such manifest; give "
                    f"--{name}_folder=FOLDER, or train without: "
                    f"--{name}_csv=null --valid_{name}_csv=null"
                )


def from_files(arguments):
    """Puts the lines of FILE in the place of ``@FILE``, as argparse does."""
    for argument in arguments:
        if not argument.startswith("@"):
            yield argument
            continue
        path = Path(argument[1:])
        if not path.is_file():
            raise UserError(f"{argument}: no such file of arguments")
        for line in path.read_text("utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                yield line.strip()


def last_wins(arguments):
    """Drops a ``--key=value`` that a later one replaces."""
    chosen = {}
    for place, argument in enumerate(arguments):
        key, equals, _ = argument.partition("=")
        key = key if equals and key.startswith("--") else place
        chosen.pop(key, None)
        chosen[key] = argument
    return list(chosen.values())


def main(arguments):
    arguments = last_wins(from_files(arguments))
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)
    hparams = load_hparams(hparams_file, overrides)
    if "cleaner_folder" in hparams:  # stage 2 stands on stage 1
        load_cleaner(hparams["cleaner"], hparams["cleaner_folder"])
    if hparams["start_folder"] is not None:
        start_from(hparams, hparams["start_folder"])
    sb.utils.distributed.ddp_init_group(run_opts)
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"],
        hyperparams_to_save=hparams_file,
        overrides=overrides,
    )

    run_on_main(prepare, args=[hparams])
    train_set = hparams["train_set"]()
    valid_set = hparams["valid_set"]()
    test_set = hparams["test_set"]()
    for dataset in (train_set, valid_set, test_set):
        dataset[0, 0]  # what is wrong with the data is said before training

    brain = hparams["brain"](
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    train_loader = hparams["train_loader"](
        train_set, grad_accumulation_factor=brain.grad_accumulation_factor
    )
    hparams["checkpointer"].add_recoverable("loader", train_loader)
    brain.fit(
        hparams["epoch_counter"],
        train_loader,
        hparams["valid_loader"](valid_set),
    )
    brain.evaluate(hparams["valid_loader"](test_set), min_key=brain.best_key)
    if if_main_process():
        print(hparams["export"](hparams, hparams_file, overrides))


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
