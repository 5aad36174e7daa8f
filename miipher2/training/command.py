"""The commands ``miipher2 train`` and ``miipher2 export-model``.

Authors
 * The miipher2 authors 2026
"""

import argparse


def add_parser(subparsers):
    """Add ``train`` and ``export-model`` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Subparsers to which the commands are added.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["train", "pa", "--lr=0.1"]).options
    ['--lr=0.1']
    """
    _add_train(subparsers)
    _add_export(subparsers)


def _add_train(subparsers):
    """Add ``miipher2 train``."""
    parser = subparsers.add_parser(
        "train",
        help="train a stage of a model",
        usage="%(prog)s [-h] EXPERIMENT [--KEY=VALUE ...]",
    )
    parser.add_argument(
        "experiment",
        metavar="EXPERIMENT",
        help="a YAML file, or the name of an experiment in this package: pa, "
        "vocoder, ssl, compact/vocoder, ...; 'miipher2 train pa --help' lists "
        "the keys of pa and SpeechBrain's run options",
    )
    parser.add_argument(
        "options",
        nargs=argparse.REMAINDER,
        metavar="--KEY=VALUE",
        help="new values for keys of the YAML file, and SpeechBrain's run "
        "options",
    )
    parser.set_defaults(run=_train)


def _add_export(subparsers):
    """Add ``miipher2 export-model``."""
    parser = subparsers.add_parser(
        "export-model", help="export a trained model and its model card"
    )
    parser.add_argument(
        "results", metavar="RESULTS", help="the output_folder of stage 2"
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        help="output folder, which must be new or empty",
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="the --output folder of miipher2 evaluate; its scores are added "
        "to the model card",
    )
    parser.add_argument(
        "--weights-licence",
        metavar="NAME",
        help="licence of the weights, such as cc-by-4.0; default: not stated",
    )
    parser.add_argument(
        "--data-licence",
        metavar="TEXT",
        help="licences of the training data; default: not stated",
    )
    parser.add_argument(
        "--push",
        metavar="USER/NAME",
        help="upload the folder to this repository on the Hugging Face hub; if "
        "there is no such repository, a public one is created",
    )
    parser.set_defaults(run=_export)


def _train(arguments):
    """Run ``miipher2 train``."""
    # a local import, because loading torch takes a long time
    from miipher2.training.recipe import train

    train(arguments.experiment, arguments.options)


def _export(arguments):
    """Run ``miipher2 export-model``."""
    from miipher2.training.export_model import export_model

    line = export_model(
        arguments.results,
        arguments.output,
        report=arguments.report,
        licences=(arguments.weights_licence, arguments.data_licence),
        push=arguments.push,
    )
    print(line)
