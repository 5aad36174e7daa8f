"""One topic of the contribution, which is one pull request.

Authors
 * The miipher2 authors 2026
"""

import ast
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]  # of this repository
FILES = Path(__file__).with_name("files")


class ContributionError(Exception):
    """The contribution does not fit the checkout; the message says why."""


class Topic(NamedTuple):
    """One pull request.

    Arguments
    ---------
    name : str
        Name of the patch.
    title : str
        First line of the commit message.
    reason : str
        The rest of it.
    write : callable
        Given the checkout's folder, changes its files and returns their paths
        relative to it.
    """

    name: str
    title: str
    reason: str
    write: Callable


def replace_once(text, old, new, path):
    """Replace a string that has to occur exactly once.

    Arguments
    ---------
    text : str
        What to change.
    old, new : str
        The string and its replacement.
    path : Path
        Named if there is another number of them.

    Returns
    -------
    str
        The changed text.

    Example
    -------
    >>> replace_once("a b", "b", "c", "file")
    'a c'
    >>> replace_once("b b", "b", "c", "file")
    Traceback (most recent call last):
    ...
    contribution.topic.ContributionError: file: expected 'b' once, found it 2 times
    """
    count = text.count(old)
    if count != 1:
        raise ContributionError(
            f"{path}: expected {old.strip()!r} once, found it {count} times"
        )
    return text.replace(old, new)


def find_node(tree, kind, name, path):
    """Return the first class or function of a name.

    Arguments
    ---------
    tree : ast.AST
        Where to look.
    kind : type
        ``ast.ClassDef`` or ``ast.FunctionDef``.
    name : str
        Its name.
    path : Path
        Named if there is none.
    """
    for node in ast.walk(tree):
        if isinstance(node, kind) and node.name == name:
            return node
    raise ContributionError(f"{path}: expected {name} there, found none")


def read_text(checkout, path):
    """Return the text of a file of the checkout."""
    try:
        return (checkout / path).read_text("utf-8")
    except FileNotFoundError:
        raise ContributionError(f"{path}: no such file there") from None


def write_new(checkout, path, text):
    """Write a file that is not in the checkout yet; return its path."""
    target = checkout / path
    if target.exists():
        raise ContributionError(
            f"{path}: already there; was the contribution laid in before?"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    return path


def run(*command, cwd):
    """Run a command.

    Arguments
    ---------
    *command : tuple of str
        The program and its arguments.
    cwd : Path
        Working folder.

    Returns
    -------
    str
        Its output.

    Raises
    ------
    ContributionError
        If it is not installed or fails.
    """
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    except FileNotFoundError:
        raise ContributionError(f"{command[0]}: not installed") from None
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ContributionError(
            f"{' '.join(command[:3])}: {reason[-1] if reason else 'failed'}"
        )
    return done.stdout
