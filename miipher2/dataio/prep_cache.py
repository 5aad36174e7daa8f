"""Remembering that files are done, so that unchanged input is skipped.

Authors
 * The miipher2 authors 2026
"""

import json
from pathlib import Path

from miipher2.dataio.atomic import write_text
from miipher2.dataio.digest import file_digest


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
    >>> write_text(product, "ID")
    >>> stamp.fits()
    False
    >>> stamp.write(left_out=2)
    >>> stamp.fits(), stamp.notes
    (True, {'left_out': 2})
    >>> write_text(product, "changed by hand")
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
        write_text(self.path, json.dumps(self._content(), indent=1) + "\n")

    def _content(self):
        made = {name: file_digest(path) for name, path in self.products.items()}
        return {"source": self.source, "made": made, "notes": self.notes}
