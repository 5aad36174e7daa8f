"""Topics of the contribution, one for each pull request.

Authors
 * The miipher2 authors 2026
"""

import ast
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]  # root of this repository
FILES = Path(__file__).with_name("files")


class ContributionError(Exception):
    """The contribution cannot be applied; the message gives the reason."""


class Topic(NamedTuple):
    """One pull request.

    Arguments
    ---------
    name : str
        Name of the patch.
    title : str
        First line of the commit message.
    reason : str
        The remaining lines of the commit message.
    write : callable
        Function that takes the folder of the checkout, changes its files and
        returns their paths relative to the folder.
    """

    name: str
    title: str
    reason: str
    write: Callable


def replace_once(text, old, new, path):
    """Replace a string that must occur exactly once.

    Arguments
    ---------
    text : str
        The text to change.
    old, new : str
        The string to replace and its replacement.
    path : Path
        Path of the file, for the error message.

    Returns
    -------
    str
        The changed text.

    Example
    -------
    >>> replace_once("a b", "b", "c", "x")
    'a c'
    >>> replace_once("b b", "b", "c", "x")
    Traceback (most recent call last):
    ...
    contribution.topic.ContributionError: x: expected 'b' once, found it 2 times
    """
    count = text.count(old)
    if count != 1:
        raise ContributionError(
            f"{path}: expected {old.strip()!r} once, found it {count} times"
        )
    return text.replace(old, new)


def find_node(tree, kind, name, path):
    """Return the first class or function with the given name.

    Arguments
    ---------
    tree : ast.AST
        The tree to search.
    kind : type
        ``ast.ClassDef`` or ``ast.FunctionDef``.
    name : str
        Name of the class or function.
    path : Path
        Path of the file, for the error message.

    Returns
    -------
    ast.AST
        The node of the class or function.
    """
    for node in ast.walk(tree):
        if isinstance(node, kind) and node.name == name:
            return node
    raise ContributionError(f"{path}: contains no class or function {name}")


def read_text(checkout, path):
    """Return the text of a file of the checkout."""
    try:
        return (checkout / path).read_text("utf-8")
    except FileNotFoundError:
        raise ContributionError(
            f"{path}: no such file in the checkout"
        ) from None


def write_new(checkout, path, text):
    """Write a new file to the checkout; return its path."""
    target = checkout / path
    if target.exists():
        raise ContributionError(
            f"{path}: already exists; was the contribution applied before?"
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
        Output of the command.

    Raises
    ------
    ContributionError
        If the command is not installed or fails.
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
