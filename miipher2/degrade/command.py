"""The commands ``miipher2 degrade`` and ``miipher2 rooms``.

Authors
 * The miipher2 authors 2026
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import torch
from tqdm import tqdm

from miipher2.dataio.audio import read_audio, write_audio
from miipher2.dataio.audio_files import (
    first_folder,
    list_audio,
    read_headers,
)
from miipher2.dataio.formats import LOSSLESS_SUFFIXES
from miipher2.dataio.hparams import load_yaml
from miipher2.dataio.manifests import read_manifest, write_manifest
from miipher2.dataio.output_names import unique_stems
from miipher2.dataio.tables import write_table
from miipher2.degrade.base import generator
from miipher2.errors import UserError

DEFAULT_CHAIN = Path(__file__).with_name("degrade.yaml")
DEFAULT_ROOMS = Path(__file__).with_name("rooms.yaml")
# The corpora that the chain draws from: what the command calls them, and how
# the keys in the YAML start.
CORPORA = {
    "noise": "noise",
    "music": "music",
    "rirs": "rir",
    "speech": "speech",
}


def add_parser(subparsers):
    """Adds ``miipher2 degrade`` and ``miipher2 rooms``.

    Arguments
    ---------
    subparsers : argparse._SubParsersAction
        Gets the commands.

    Example
    -------
    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["degrade", "clean", "noisy", "--only", "codec"]).only
    'codec'
    """
    parser = subparsers.add_parser(
        "degrade", help="damage clean speech, and write down how"
    )
    parser.add_argument("clean", help="a recording, or a folder of them")
    parser.add_argument(
        "noisy",
        help="a .wav or .flac file, or a folder: its tree becomes that of the "
        "input, with a manifest.csv of what was drawn for each file",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="the same seed, the same damage"
    )
    parser.add_argument(
        "--degrade",
        metavar="YAML",
        default=DEFAULT_CHAIN,
        help="degradations and their ranges; default: those of the training",
    )
    parser.add_argument(
        "--only", metavar="NAME", help="this degradation alone, on every file"
    )
    parser.add_argument(
        "--pairs",
        action="store_true",
        help="write NOISY/noisy and NOISY/clean with the same names, as "
        "recipes/Paired reads them",
    )
    add_corpora(parser)
    parser.set_defaults(run=degrade)

    parser = subparsers.add_parser(
        "rooms", help="simulate a pool of room impulse responses"
    )
    parser.add_argument(
        "output", help="folder for the .flac files and rooms.csv"
    )
    parser.add_argument("--count", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--rooms",
        metavar="YAML",
        default=DEFAULT_ROOMS,
        help="ranges of size, RT60 and distance",
    )
    parser.set_defaults(run=rooms)


def add_corpora(parser):
    """Adds the options that name what the chain draws from.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Gets the options.
    """
    for name in CORPORA:
        parser.add_argument(
            f"--{name}",
            metavar="FOLDER_OR_CSV",
            help=f"{name} to draw from: a folder of recordings, or a manifest "
            "whose $data_root is its own folder",
        )


def degrade(arguments):
    """Runs ``miipher2 degrade``.

    Arguments
    ---------
    arguments : argparse.Namespace
        What the parser read.

    Returns
    -------
    int
        0 if all was written, 1 if some recordings failed.
    """
    clean, output = Path(arguments.clean), Path(arguments.noisy)
    names = _outputs(clean, output, arguments.pairs)
    with tempfile.TemporaryDirectory() as folder:
        chain = load_chain(arguments.degrade, arguments, folder)
        if arguments.only:
            chain = chain.only(arguments.only)
        print(f"{len(names)} recordings through {', '.join(chain.names)}")
        rows, failed = [], 0
        for source, name in tqdm(names.items(), unit="file", disable=None):
            try:
                rows.append(_degrade_file(chain, source, name, arguments))
            except UserError as error:
                failed += 1
                print(f"failed: {error}", file=sys.stderr)
    if clean.is_dir() or arguments.pairs:
        write_table(output / "manifest.csv", rows[0] if rows else ["ID"], rows)
    else:
        print(*(row["metadata"] for row in rows))
    print(f"{len(rows)} written, {failed} failed: {output}")
    return 1 if failed else 0


def _outputs(clean, output, pairs):
    """The name of each input's output below the output folder."""
    if clean.is_dir():
        paths = [file.path for file in list_audio(clean)]
        if not paths:
            raise UserError(f"{clean}: no recordings there")
        names = {}
        for path, stem in unique_stems(paths).items():
            suffix = os.path.splitext(path)[1].lower()
            suffix = suffix if suffix in LOSSLESS_SUFFIXES else ".wav"
            names[clean / path] = stem + suffix
    elif clean.is_file():
        if not pairs and output.suffix.lower() not in LOSSLESS_SUFFIXES:
            raise UserError(f"{output}: give a file that ends in .wav or .flac")
        names = {clean: clean.stem + ".wav" if pairs else output.name}
    else:
        raise UserError(f"{clean}: no such file or folder")
    folder = output if clean.is_dir() else output.parent
    for path, name in names.items():
        if not pairs and path.resolve() == (folder / name).resolve():
            raise UserError(
                f"{path}: would be overwritten; give another output"
            )
    return names


def load_chain(path, arguments, folder):
    """The chain of a YAML file with the corpora that the user gave.

    Arguments
    ---------
    path : str or Path
        The YAML file.
    arguments : argparse.Namespace
        With the options of ``add_corpora``.
    folder : str or Path
        Where the manifests of folders are written; it has to stay while the
        chain is in use.

    Returns
    -------
    chain : Chain
        What the file has under the key ``chain``.

    Raises
    ------
    UserError
        If the file or a corpus cannot be used.
    """
    overrides = {}
    for name, key in CORPORA.items():
        corpus = getattr(arguments, name)
        if corpus is None:
            continue
        manifest, root = Path(corpus), Path(corpus).parent
        if manifest.is_dir():
            manifest, root = Path(folder, f"{key}.csv"), manifest
            _list_folder(root, manifest)
        # Now, so that a manifest that cannot be used is found before any work.
        read_manifest(manifest, root)
        overrides[f"{key}_csv"] = str(manifest)
        overrides[f"{key}_root"] = str(root)
    return _load(path, "chain", overrides)


def _list_folder(root, manifest):
    """Writes a manifest of all recordings below a folder."""
    headers, _ = read_headers(root, list_audio(root))
    if not headers:
        raise UserError(f"{root}: no recordings there")
    rows = [
        {
            "ID": path,
            "duration": header.seconds,
            "wav": f"$data_root/{path}",
            "spk_id": first_folder(root, path.split("/")[:-1]),
        }
        for path, header in headers.items()
    ]
    write_manifest(manifest, rows)


def _load(path, key, overrides=None):
    """What a YAML file holds under a key."""
    loaded = load_yaml(path, overrides)
    if key not in loaded:
        raise UserError(f"{path}: has no key {key!r}")
    return loaded[key]


def _degrade_file(chain, source, name, arguments):
    """Damages one recording; returns its row of the manifest."""
    wav = read_audio(source, chain.sample_rate)
    # By its name, so that the damage does not depend on the other files.
    rng = generator(arguments.seed, name)
    target, noisy, metadata = chain.pair(wav, rng)
    output = Path(arguments.noisy)
    row = {
        "ID": os.path.splitext(name)[0].replace("/", "-"),
        "duration": f"{len(wav) / chain.sample_rate:.6f}",
    }
    if arguments.pairs:
        row["wav"] = f"$data_root/clean/{name}"
        row["noisy_wav"] = f"$data_root/noisy/{name}"
        write_audio(output / "clean" / name, target, chain.sample_rate)
        write_audio(output / "noisy" / name, noisy, chain.sample_rate)
    else:
        row["wav"] = f"$data_root/{name}"
        folder = output if Path(arguments.clean).is_dir() else output.parent
        write_audio(folder / name, noisy, chain.sample_rate)
    row["metadata"] = json.dumps(metadata)
    return row


def rooms(arguments):
    """Runs ``miipher2 rooms``.

    Arguments
    ---------
    arguments : argparse.Namespace
        What the parser read.
    """
    simulator = _load(arguments.rooms, "rooms")
    output = Path(arguments.output)
    rows = []
    for index in tqdm(range(arguments.count), unit="room", disable=None):
        name = f"room_{index:05d}"
        rir, room = simulator.simulate(generator(arguments.seed, index))
        path = output / f"{name}.flac"
        write_audio(path, torch.from_numpy(rir), simulator.sample_rate)
        seconds = f"{len(rir) / simulator.sample_rate:.6f}"
        wav = f"$data_root/{path.name}"
        rows.append({"ID": name, "duration": seconds, "wav": wav, **room})
    write_table(output / "rooms.csv", rows[0] if rows else ["ID"], rows)
    print(f"{len(rows)} rooms: {output / 'rooms.csv'}")
