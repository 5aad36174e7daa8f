#!/usr/bin/env python3
"""Average the trained weights of several model folders.

    python recipes/Whisper24/average_models.py MODEL MODEL [MODEL ...] OUT

OUT is a copy of the first model folder in which the weights of the adapters and
the vocoder are the mean over all models. The mean is computed in float32, and
every model counts equally. The models must have been trained from the same
initial weights, so that their parameters correspond to each other.

Authors
 * The miipher2 authors 2026
"""

import argparse
import shutil
from pathlib import Path

from speechbrain.utils.checkpoints import average_state_dicts

from miipher2.errors import UserError, one_line_errors
from miipher2.models.weights import load_weights, save_weights

AVERAGED = ("cleaner.safetensors", "vocoder.safetensors")


def architecture(tensors, identity):
    """Return the tensor shapes and the metadata of the model in a file.

    Two files can be averaged if their shapes and metadata are equal. The name
    of the encoder is ignored, because it is not saved for an encoder that was
    loaded from a folder.
    """
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    return shapes, {**identity, "source": None}


def average_files(paths):
    """Average weight files.

    Arguments
    ---------
    paths : list of Path
        Files of the same architecture.

    Returns
    -------
    tensors : dict
        Mean tensors by name, in the precision of the first file.
    identity : dict
        Metadata of the first file.

    Raises
    ------
    UserError
        If the architecture of a file differs from that of the first file.
    """
    loaded = [load_weights(path) for path in paths]
    first, identity = loaded[0]
    for path, weights in zip(paths, loaded, strict=True):
        if architecture(*weights) != architecture(first, identity):
            raise UserError(
                f"{path}: not the same architecture as {paths[0]}; average "
                "models that were trained with the same YAML"
            )
    mean = average_state_dicts(
        {name: tensor.float() for name, tensor in tensors.items()}
        for tensors, _ in loaded
    )
    return {name: mean[name].to(first[name].dtype) for name in first}, identity


def main(argv=None):
    """Write the averaged model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "models", nargs="+", type=Path, metavar="MODEL", help="model folder"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="output folder")
    options = parser.parse_args(argv)
    with one_line_errors():
        if len(options.models) < 2:
            raise UserError("give at least two model folders and OUT")
        if options.out.exists():
            raise UserError(
                f"{options.out}: already exists; choose a different folder"
            )
        averaged = {
            name: average_files([model / name for model in options.models])
            for name in AVERAGED
        }
        shutil.copytree(options.models[0], options.out)
        for name, (tensors, identity) in averaged.items():
            save_weights(options.out / name, tensors, identity)


if __name__ == "__main__":
    main()
