"""Load HyperPyYAML files and report their errors on one line.

Authors
 * The miipher2 authors 2026
"""

import contextlib
import re

import ruamel.yaml
import yaml
from hyperpyyaml import load_hyperpyyaml

from miipher2.errors import UserError


@contextlib.contextmanager
def yaml_errors(path):
    """Convert exceptions from HyperPyYAML into a ``UserError``.

    Arguments
    ---------
    path : str or Path
        The file to name in the error message.

    Raises
    ------
    UserError
        If the file is missing, unreadable or not valid YAML, a placeholder has
        no value, a class is unknown, or an argument of a class is invalid.

    Example
    -------
    >>> with yaml_errors("a.yaml"):
    ...     load_hyperpyyaml("linear: !new:torch.nn.Linnear")
    Traceback (most recent call last):
    ...
    miipher2.errors.UserError: a.yaml: cannot be loaded: ...
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        file = str(error.filename)
        if file != str(path) and not file.endswith((".yaml", ".yml")):
            raise  # raised by a class that the YAML file instantiates
        included = "" if file == str(path) else f" (included by {path})"
        raise UserError(
            f"{file}: cannot be read: {error.strerror}{included}"
        ) from None
    except (ruamel.yaml.YAMLError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not a valid YAML file: {one_line(error)}"
        ) from error
    except (
        AttributeError,
        ImportError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        reason = one_line(error)
        placeholder = re.match(r"'(.+)' is a !PLACEHOLDER", reason)
        if placeholder:
            raise UserError(
                f"--{placeholder[1]} is required (see {path})"
            ) from None
        raise UserError(f"{path}: cannot be loaded: {reason}") from error


def load_yaml(path, overrides=None):
    """Load a HyperPyYAML file.

    Arguments
    ---------
    path : str or Path
        The file.
    overrides : str or dict
        New values of top-level keys.

    Returns
    -------
    dict
        The loaded values.

    Raises
    ------
    UserError
        See ``yaml_errors``.
    """
    with yaml_errors(path), open(path, encoding="utf-8") as file:
        return load_hyperpyyaml(file, overrides)


def one_line(error):
    """Return the text of an exception on one line."""
    text = ": ".join(str(part) for part in error.args if part) or str(error)
    return " ".join(text.split())
