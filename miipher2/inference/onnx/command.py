"""The command ``miipher2 export-onnx``.

Authors
 * The miipher2 authors 2026
"""

import argparse


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add ``miipher2 export-onnx`` to the command line.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        The subparsers to which the command is added.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["export-onnx", "compact", "a.onnx"]).weights
    'fp32'
    """
    parser = subparsers.add_parser(
        "export-onnx", help="write a model as an ONNX file"
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a model folder written by training, the name of a bundled model "
        "(whisper24, compact), or a repository on the Hugging Face hub",
    )
    parser.add_argument(
        "output",
        metavar="OUT.onnx",
        help="the file to write, which must not exist",
    )
    parser.add_argument(
        "--weights",
        choices=["fp32", "int8"],
        default="fp32",
        help="int8: 8-bit weights, for a smaller file; activations remain "
        "fp32; default: fp32",
    )
    parser.add_argument(
        "--trust-model",
        action="store_true",
        help="allow the model's YAML to run arbitrary code",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    """Run ``export-onnx``; the import is local, as torch loads slowly."""
    from miipher2.inference.onnx.export import export_onnx

    print(
        export_onnx(
            arguments.model,
            arguments.output,
            arguments.weights,
            arguments.trust_model,
        )
    )
