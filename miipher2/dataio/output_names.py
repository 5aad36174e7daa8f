"""Unique names of output files, and checks that no file is overwritten.

Authors
 * The miipher2 authors 2026
"""

import functools
import os
import re
from collections import Counter

from miipher2.dataio.wording import count
from miipher2.errors import UserError


def unique_stems(names):
    """Remove the suffix of each file name whose stem is unique.

    Arguments
    ---------
    names : iterable of str
        Distinct relative paths.

    Returns
    -------
    dict
        Stem of each name, or the name itself if another file has the same stem.

    Example
    -------
    >>> unique_stems(["a.wav", "a.mp3", "b.wav"])
    {'a.wav': 'a.wav', 'a.mp3': 'a.mp3', 'b.wav': 'b'}
    """
    stems = {name: os.path.splitext(name)[0] for name in names}
    while True:
        # Repeat after each change, as "a.mp3" may be the stem of "a.mp3.ogg".
        times = Counter(stems.values())
        collisions = {
            name: name
            for name, stem in stems.items()
            if times[stem] > 1 and stem != name
        }
        if not collisions:
            return stems
        stems |= collisions


def portable_name(name):
    """Replace characters that are not allowed in file names on some systems.

    Example
    -------
    >>> portable_name("speaker/a:1")
    'speaker-a-1'
    """
    return re.sub(r'[<>:"/\\|?*]', "-", name)


def check_new(paths):
    """Check that no output exists.

    Arguments
    ---------
    paths : list of Path
        The outputs.

    Raises
    ------
    UserError
        If an output exists.

    Example
    -------
    >>> check_new([getfixture("tmp_path") / "a.wav"])
    """
    existing = [path for path in paths if os.path.lexists(path)]
    if existing:
        others = len(existing) - 1
        also = f" (and {count(others, 'other file')})" if others else ""
        raise UserError(
            f"{existing[0]}: would be overwritten{also}; remove existing files "
            "or choose a different output"
        )


def check_overwriting(pairs):
    """Check that no output would overwrite an input.

    Arguments
    ---------
    pairs : list of (Path, Path)
        Pairs of input and output. Symbolic links are resolved, except an output
        that is itself a link.

    Raises
    ------
    UserError
        If an output is an input.

    Example
    -------
    >>> from pathlib import Path
    >>> check_overwriting([(Path("a.wav"), Path("out/a.wav"))])
    """
    real = functools.lru_cache(maxsize=1024)(os.path.realpath)

    def resolve(path):
        return os.path.join(real(path.parent), path.name)

    inputs = {resolve(source) for source, _ in pairs}
    inputs |= {os.path.realpath(s) for s, _ in pairs if s.is_symlink()}
    for source, output in pairs:
        if resolve(output) in inputs:
            raise UserError(
                f"{output}: the output of {source} would overwrite an input; "
                "choose a different output"
            )
