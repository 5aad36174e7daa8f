"""Remembering that files are done, so that unchanged input is skipped.

Authors
 * The miipher2 authors 2026
"""

import hashlib
import json
import os
from pathlib import Path


def write_whole(path, text):
    """Writes a text file so that it is whole whenever it can be seen.

    Arguments
    ---------
    path : str or Path
        The file; its folder is made if need be.
    text : str
        All of its text.

    Example
    -------
    >>> path = getfixture("tmp_path") / "new" / "a.txt"
    >>> write_whole(path, "done")
    >>> path.read_text()
    'done'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def digest(text):
    """Hashes a text, or a name that is no valid UTF-8.

    Arguments
    ---------
    text : str
        What to hash.

    Returns
    -------
    str
        64 hexadecimal digits.

    Example
    -------
    >>> digest("anna")[:8]
    '55579b55'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


class Stamp:
    """A small JSON file: what was made, and from what.

    Arguments
    ---------
    path : str or Path
        The JSON file.
    source : dict
        What the products depend on, in the types that JSON has.
    products : dict
        Path of each product, by name.

    Example
    -------
    >>> product = getfixture("tmp_path") / "a.csv"
    >>> stamp = Stamp(product.with_suffix(".json"), {"share": 1}, {"a": product})
    >>> write_whole(product, "ID")
    >>> stamp.fits()
    False
    >>> stamp.write(left_out=2)
    >>> stamp.fits(), stamp.notes
    (True, {'left_out': 2})
    >>> write_whole(product, "changed by hand")
    >>> stamp.fits()
    False
    """

    def __init__(self, path, source, products):
        self.path = Path(path)
        self.source = source
        self.products = products
        self.notes = {}

    def fits(self):
        """Whether the products are there as they were made from this source.

        Returns
        -------
        bool
            If True, ``notes`` are those that ``write`` was given.
        """
        try:
            known = json.loads(self.path.read_text("utf-8"))
            self.notes = known["notes"]
            return known == self._content()
        except (OSError, ValueError, KeyError, TypeError):
            return False  # missing or damaged: made anew

    def write(self, **notes):
        """Writes the stamp, once the products are written.

        Arguments
        ---------
        **notes
            What to know of the products without making them again.
        """
        self.notes = notes
        write_whole(self.path, json.dumps(self._content(), indent=1) + "\n")

    def _content(self):
        made = {
            name: hashlib.sha256(Path(path).read_bytes()).hexdigest()
            for name, path in self.products.items()
        }
        return {"source": self.source, "made": made, "notes": self.notes}
