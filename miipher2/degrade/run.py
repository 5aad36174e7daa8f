"""The main functions of ``miipher2 degrade`` and ``miipher2 rooms``.

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
from miipher2.dataio.audio_files import first_folder, list_audio
from miipher2.dataio.formats import (
    CORPUS_SUFFIXES,
    LOSSLESS_SUFFIXES,
    has_suffix,
)
from miipher2.dataio.headers import read_headers
from miipher2.dataio.hparams import load_yaml
from miipher2.dataio.manifests import read_manifest, write_manifest
from miipher2.dataio.output_names import (
    check_new,
    check_overwriting,
    unique_stems,
)
from miipher2.dataio.sound_file import irregular
from miipher2.dataio.tables import write_table
from miipher2.dataio.wording import count
from miipher2.degrade.base import generator
from miipher2.errors import UserError

# Prefix of a corpus's keys in the YAML file, by command-line option.
CORPORA = {
    "noise": "noise",
    "music": "music",
    "rirs": "rir",
    "speech": "speech",
}
# Option for the corpus that a degradation of degrade.yaml needs.
OPTIONS = {
    "reverb": "--rirs",
    "noise": "--noise",
    "music": "--music",
    "babble": "--speech",
}


def degrade(arguments):
    """Run ``miipher2 degrade``.

    Arguments
    ---------
    arguments : argparse.Namespace
        The parsed arguments.

    Returns
    -------
    int
        0 if all recordings were written, 1 if some failed.
    """
    clean, output = Path(arguments.clean), Path(arguments.noisy)
    names = _output_names(clean, output, arguments.pairs)
    with tempfile.TemporaryDirectory() as folder:
        chain = load_chain(arguments.degrade, arguments, folder)
        chain = _chosen(chain, arguments.only)
        print(
            f"degrading {count(len(names), 'recording')} with: "
            f"{', '.join(chain.names)}"
        )
        rows, failed = [], 0
        for source, name in tqdm(names.items(), unit="file", disable=None):
            try:
                rows.append(_degrade_file(chain, source, name, arguments))
            except UserError as error:
                failed += 1
                print(f"failed: {error}", file=sys.stderr)
    if clean.is_dir() or arguments.pairs:
        _write_rows(output / "manifest.csv", rows)
    else:
        print(*(row["metadata"] for row in rows))
    print(f"{len(rows)} written, {failed} failed: {output}")
    return 1 if failed else 0


def _chosen(chain, only):
    """Reduce the chain to the step ``only``, or print the steps left out."""
    if only in chain.left_out and only in OPTIONS:
        raise UserError(
            f"--only {only}: {chain.left_out[only]}; give "
            f"{OPTIONS[only]} FOLDER_OR_CSV"
        )
    if only:
        return chain.only(only)
    if chain.left_out:
        reasons = [
            f"{name} (needs {OPTIONS[name]})"
            if name in OPTIONS
            else f"{name} ({reason})"
            for name, reason in chain.left_out.items()
        ]
        print(f"left out: {', '.join(reasons)}")
    return chain


def _output_names(clean, output, pairs):
    """Return the output name of each input, relative to the output folder."""
    if clean.is_dir():
        names, folder = _names_of_folder(clean), output
    elif not clean.exists():
        raise UserError(f"{clean}: no such file or folder")
    elif not clean.is_file():
        raise UserError(
            f"{clean}: expected a recording or a folder, found "
            f"{irregular(clean.stat())}"
        )
    elif pairs:
        names, folder = {clean: f"{clean.stem}.wav"}, output
    elif output.suffix.lower() not in LOSSLESS_SUFFIXES:
        raise UserError(
            f"{output}: expected a file name that ends in .wav or .flac"
        )
    else:
        names, folder = {clean: output.name}, output.parent
    if not pairs:
        check_overwriting([(path, folder / n) for path, n in names.items()])
    folders = [folder / "clean", folder / "noisy"] if pairs else [folder]
    outputs = [parent / name for parent in folders for name in names.values()]
    if clean.is_dir() or pairs:
        outputs.append(output / "manifest.csv")
    check_new(outputs)
    return names


def _names_of_folder(clean):
    """Return the output name of each recording in a folder."""
    paths = [file.path for file in list_audio(clean)]
    if not paths:
        raise UserError(f"{clean}: contains no recordings")
    names = {}
    for path, stem in unique_stems(paths).items():
        suffix = os.path.splitext(path)[1].lower()
        if suffix not in LOSSLESS_SUFFIXES:
            suffix = ".wav"
        names[clean / path] = stem + suffix
    return names


def load_chain(path, arguments, folder):
    """Load the chain from a YAML file, with the corpora from the command line.

    Arguments
    ---------
    path : str or Path
        The YAML file.
    arguments : argparse.Namespace
        Arguments with the options of ``command.add_corpora``.
    folder : str or Path
        Folder for the manifests of corpora that are given as folders. It must
        exist while the chain is in use.

    Returns
    -------
    chain : Chain
        The value of the ``chain`` key.

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
        if not manifest.exists():
            raise UserError(f"--{name}: no such file or folder: {manifest}")
        if manifest.is_file() and has_suffix(manifest, CORPUS_SUFFIXES):
            raise UserError(
                f"--{name}: expected a folder of recordings or a CSV manifest, "
                f"found a recording: {manifest}"
            )
        if manifest.is_dir():
            manifest, root = Path(folder, f"{key}.csv"), manifest
            _write_manifest(root, manifest)
        # Report an unusable manifest now, not at its first use.
        read_manifest(manifest, root)
        overrides[f"{key}_csv"] = str(manifest)
        overrides[f"{key}_root"] = str(root)
    return _load(path, "chain", overrides)


def _write_manifest(root, manifest):
    """Write a manifest for the usable recordings in a folder."""
    headers, _ = read_headers(root, list_audio(root))
    if not headers:
        raise UserError(f"{root}: contains no usable recordings")
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
    """Load a YAML file and return the value of a key."""
    loaded = load_yaml(path, overrides)
    if key not in loaded:
        raise UserError(f"{path}: has no {key!r} key")
    return loaded[key]


def _degrade_file(chain, source, name, arguments):
    """Degrade one recording; return its row in the manifest."""
    wav = read_audio(source, chain.sample_rate)
    if not len(wav):
        raise UserError(f"{source}: contains no samples; remove it")
    # Seed with the output name, so that the parameters do not depend on the
    # order of the files.
    rng = generator(arguments.seed, name)
    target, noisy, metadata = chain.pair(wav, rng)
    output = Path(arguments.noisy)
    row = {
        "ID": name,
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


def _write_rows(path, rows):
    """Write a CSV file; all rows must have the same columns."""
    write_table(path, list(rows[0]) if rows else ["ID"], rows)


def rooms(arguments):
    """Run ``miipher2 rooms``.

    Arguments
    ---------
    arguments : argparse.Namespace
        The parsed arguments.
    """
    simulator = _load(arguments.rooms, "rooms")
    output = Path(arguments.output)
    check_new([output / "rooms.csv"])
    rows = []
    for index in tqdm(range(arguments.count), unit="room", disable=None):
        name = f"room_{index:05d}"
        rir, room = simulator.simulate(generator(arguments.seed, index))
        path = output / f"{name}.flac"
        write_audio(path, torch.from_numpy(rir), simulator.sample_rate)
        seconds = f"{len(rir) / simulator.sample_rate:.6f}"
        wav = f"$data_root/{path.name}"
        rows.append({"ID": name, "duration": seconds, "wav": wav, **room})
    _write_rows(output / "rooms.csv", rows)
    print(f"{count(len(rows), 'room')}: {output / 'rooms.csv'}")
