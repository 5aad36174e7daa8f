#!/usr/bin/env python3
"""Train one stage of Miipher-2, as configured by a YAML file.

To run this recipe, train the adapters (stage 1) and then the vocoder (stage 2):
> python train.py hparams/pa.yaml --data_folder=SPEECH
> python train.py hparams/vocoder.yaml --data_folder=SPEECH

Optionally, pretrain a backbone first (stage 0):
> python train.py hparams/ssl.yaml --data_folder=SPEECH

Add --noise_folder=NOISE --rir_folder=RIRS, the folders of noise recordings and
room impulse responses. To train without them, add --noise_csv=null
--valid_noise_csv=null --rir_csv=null --valid_rir_csv=null.

Any key of the YAML file can be overridden, for example with --batch_size=8.
SpeechBrain's run options (--device=cuda:0, --precision=bf16, --debug, ...) work
as well.

Authors
 * The miipher2 authors 2026
"""

import dataclasses
import sys
from pathlib import Path

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process, run_on_main

from miipher2.dataio.prepare import prepare_noise, prepare_rirs
from miipher2.errors import UserError, one_line_errors
from miipher2.inference.devices import choose_device
from miipher2.inference.freed_memory import keep_freed_memory
from miipher2.training.experiment import (
    check_segments,
    load_cleaner,
    load_hparams,
    stage_one_overrides,
    start_from,
)
from miipher2.training.overrides import (
    check_overrides,
    describe_keys,
    parse_overrides,
    read_yaml,
    resolved_yaml,
)
from miipher2.training.settings import (
    check_resumed,
    data_digests,
    run_settings,
)

# YAML files refer to functions in these folders, such as
# folder_prepare.prepare_folder
sys.path += map(str, Path(__file__).resolve().parent.glob("recipes/*"))


def prepare(hparams):
    """Write the manifests of speech, noise and room impulse responses."""
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


def check_data(hparams):
    """Check that the data folders or the noise and RIR manifests exist.

    A folder is checked if the run writes manifests from it. Otherwise, the
    noise and RIR manifests are checked, but not the speech manifests.
    """
    for name in ("data", "noise", "rir"):
        folder = hparams[f"{name}_folder"]
        if folder is not None and not hparams["skip_prep"]:
            if not Path(folder).is_dir():
                raise UserError(f"--{name}_folder={folder}: no such folder")
        elif name != "data":
            for key in (f"{name}_csv", f"valid_{name}_csv"):
                if hparams[key] is not None and not Path(hparams[key]).exists():
                    raise UserError(
                        f"{hparams[key]}: no such manifest; give "
                        f"--{name}_folder=FOLDER without --skip_prep=True, or "
                        f"disable this degradation with --{name}_csv=null "
                        f"--valid_{name}_csv=null"
                    )


def dataio_prepare(hparams):
    """Create the datasets for training, validation and test."""
    train_set = hparams["train_set"]()
    valid_set = hparams["valid_set"]()
    test_set = hparams["test_set"]()
    for dataset in (train_set, valid_set, test_set):
        # fail before training if the first clip is unreadable
        dataset[0, 0]
    return train_set, valid_set, test_set


def load_weights(hparams):
    """Load the weights of earlier stages and runs."""
    if hparams.get("cleaner_folder") is not None:
        load_cleaner(hparams["cleaner"], hparams["cleaner_folder"])
    if hparams["start_folder"] is not None:
        start_from(hparams, hparams["start_folder"])


def check_experiment(hparams_file, overrides):
    """Check the command line before models are built or downloaded.

    Returns
    -------
    overrides : str
        The overrides. For stage 2, they include the backbone and adapter
        settings of stage 1.
    settings : dict
        See ``run_settings``.
    """
    check_overrides(hparams_file, parse_overrides(overrides))
    overrides = stage_one_overrides(hparams_file, overrides)
    settings = run_settings(hparams_file, parse_overrides(overrides))
    resolved = resolved_yaml(hparams_file, overrides)
    check_resumed(
        resolved["save_folder"],
        "settings",
        settings,
        resolved["resume_with_other_data"],
    )
    check_data(resolved)
    return overrides, settings


def main(arguments):
    """Prepare the data, then train, evaluate and export the model."""
    yamls = [name for name in arguments if name.endswith((".yaml", ".yml"))]
    if yamls and {"-h", "--help"} & set(arguments):
        print(f"{describe_keys(yamls[0])}\n\nSpeechBrain's run options:\n")
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)
    run_opts = dataclasses.replace(
        run_opts,
        device=choose_device(run_opts.device),
        overridden_args=run_opts.overridden_args | {"device"},
    )
    overrides, settings = check_experiment(hparams_file, overrides)
    hparams = load_hparams(hparams_file, overrides)
    check_segments(hparams)
    load_weights(hparams)  # reports a wrong path before data preparation
    sb.utils.distributed.ddp_init_group(run_opts)
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"],
        hyperparams_to_save=hparams_file,
        overrides=overrides,
    )

    run_on_main(prepare, args=[hparams])
    data = data_digests(hparams)
    check_resumed(
        hparams["save_folder"], "data", data, hparams["resume_with_other_data"]
    )
    hparams["checkpointer"].run = {"settings": settings, "data": data}
    train_set, valid_set, test_set = dataio_prepare(hparams)

    brain = hparams["brain"](
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    if brain.device == "cpu":
        keep_freed_memory()
    train_loader = hparams["train_loader"](train_set)
    hparams["checkpointer"].add_recoverable("loader", train_loader)
    brain.fit(
        hparams["epoch_counter"],
        train_loader,
        hparams["valid_loader"](valid_set),
    )
    brain.evaluate(hparams["valid_loader"](test_set), min_key=brain.best_key)

    # checkpoints of --debug are temporary and must not be exported
    temporary = brain.debug and not brain.debug_persistently
    if if_main_process() and not temporary:
        line = hparams["export"](hparams, hparams_file, overrides)
        if "evaluate" in hparams and hparams["evaluate"]:
            folder, device = hparams["output_folder"], brain.device
            print(hparams["evaluation"](folder, test_set, device))
        print(brain.outcome(read_yaml(hparams_file)["max_steps"]), line)


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
