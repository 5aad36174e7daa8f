"""The command ``miipher2``.

Authors
 * The miipher2 authors 2026
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from miipher2.audio_files import list_audio
from miipher2.degrade import command as degrade
from miipher2.errors import UserError, one_line_errors
from miipher2.evaluation import command as evaluate


def add_restore(subparsers):
    """Adds ``miipher2 restore``.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Gets the command.
    """
    parser = subparsers.add_parser(
        "restore", help="restore a recording, or all recordings of a folder"
    )
    parser.add_argument("input", help="a recording, or a folder of them")
    parser.add_argument(
        "output", help="a file, or a folder: its tree becomes the input's"
    )
    parser.add_argument(
        "--model",
        required=True,
        help="the folder 'model' that training has written, or a repository "
        "on the Hugging Face hub",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1; default: the best")
    parser.add_argument(
        "--precision", choices=["fp32", "bf16", "fp16"], default="fp32"
    )
    parser.add_argument(
        "--sample-rate",
        type=int,
        choices=range(1000, 384001),
        metavar="HZ",
        help="of the output in Hz; default: the model's",
    )
    parser.set_defaults(run=restore)


def pairs(source, target):
    """Which output belongs to which input.

    Arguments
    ---------
    source : str
        A recording or a folder.
    target : str
        A file or a folder.

    Returns
    -------
    list of (Path, Path)
        Sorted by the input.

    Raises
    ------
    UserError
        If there is nothing to restore, or an output would be an input.

    Example
    -------
    >>> folder = getfixture("tmpdir")
    >>> _ = folder.ensure("in", "a", "b.mp3")
    >>> [(source, target)] = pairs(folder / "in", folder / "out")
    >>> str(target.relative_to(folder / "out"))
    'a/b.wav'
    """
    source, target = Path(source), Path(target)
    if source.is_file():
        if target.is_dir():
            target = target / f"{source.stem}.wav"
        found = [(source, target)]
    elif source.is_dir():
        files = [source / file.path for file in list_audio(source)]
        stems = Counter(path.with_suffix("") for path in files)
        found = [
            (
                path,
                target
                / path.relative_to(source).with_name(
                    f"{path.stem}.wav"
                    if stems[path.with_suffix("")] == 1
                    else f"{path.name}.wav"
                ),
            )
            for path in files
        ]
    else:
        raise UserError(f"{source}: no such file or folder")
    if not found:
        raise UserError(f"{source}: no recordings there (wav, flac, ogg, mp3)")
    inputs = {path.resolve() for path, _ in found}
    for path, output in found:
        if output.resolve() in inputs:
            raise UserError(
                f"{output}: the output of {path} would overwrite an input; "
                "give another output"
            )
    return found


def restore(arguments):
    """Runs ``miipher2 restore``.

    Arguments
    ---------
    arguments : argparse.Namespace
        What the parser read.

    Returns
    -------
    int
        0 if all was restored, 1 if some recordings failed.
    """
    found = pairs(arguments.input, arguments.output)

    from tqdm import tqdm

    from miipher2.restorer import Restorer

    run_opts = {"precision": arguments.precision}
    if arguments.device:
        run_opts["device"] = arguments.device
    restorer = Restorer.from_hparams(arguments.model, run_opts=run_opts)
    print(
        f"{len(found)} recordings, on {restorer.device} in "
        f"{arguments.precision}, to {restorer.sample_rate} Hz"
    )
    failed = 0
    for source, target in tqdm(found, disable=len(found) == 1):
        try:
            restorer.restore_file(source, target, arguments.sample_rate)
        except UserError as error:
            failed += 1
            print(f"failed: {error}", file=sys.stderr)
    print(
        f"{len(found) - failed} restored, {failed} failed: {arguments.output}"
    )
    return 1 if failed else 0


def main(arguments=None):
    """Runs the command line.

    Arguments
    ---------
    arguments : list of str
        None: those of the program.

    Returns
    -------
    int
        The exit code: 0 all done, 1 some failed, 2 wrong usage.
    """
    parser = argparse.ArgumentParser(
        prog="miipher2", description="Universal speech restoration."
    )
    subparsers = parser.add_subparsers(dest="command", required=True)
    add_restore(subparsers)
    degrade.add_parser(subparsers)
    evaluate.add_parser(subparsers)
    arguments = parser.parse_args(arguments)
    with one_line_errors():
        return arguments.run(arguments) or 0


if __name__ == "__main__":
    sys.exit(main())
