"""A cache that avoids preparing unchanged data again.

Authors
 * The miipher2 authors 2026
"""

import json
from pathlib import Path

from miipher2.dataio.atomic import write_text
from miipher2.dataio.digest import file_digest


class PrepCache:
    """A JSON file with the inputs and the hashes of prepared files.

    Arguments
    ---------
    path : str or Path
        The JSON file.
    source : dict
        Everything on which the prepared files depend, as JSON types.
    products : dict
        Paths of the prepared files, by name.

    Example
    -------
    >>> product = getfixture("tmp_path") / "a.csv"
    >>> path = product.with_suffix(".json")
    >>> cache = PrepCache(path, {"share": 1}, {"a": product})
    >>> write_text(product, "ID")
    >>> cache.is_current()
    False
    >>> cache.save(left_out=2)
    >>> cache.is_current(), cache.notes
    (True, {'left_out': 2})
    >>> write_text(product, "edited")
    >>> cache.is_current()
    False
    """

    def __init__(self, path, source, products):
        self.path = Path(path)
        self.source = source
        self.products = products
        self.notes = {}

    def is_current(self):
        """Return whether the inputs and the prepared files are unchanged.

        Returns
        -------
        bool
            If True, ``notes`` contains the values passed to ``save``.
        """
        try:
            saved = json.loads(self.path.read_text("utf-8"))
            self.notes = saved["notes"]
            return saved == self._content()
        except (OSError, ValueError, KeyError, TypeError):
            return False  # a file is missing or damaged

    def save(self, **notes):
        """Write the JSON file; the prepared files must exist.

        Arguments
        ---------
        **notes
            Values, as JSON types, for a later run that skips preparation.
        """
        self.notes = notes
        write_text(self.path, json.dumps(self._content(), indent=1) + "\n")

    def _content(self):
        hashes = {n: file_digest(path) for n, path in self.products.items()}
        return {"source": self.source, "made": hashes, "notes": self.notes}
