"""Convert docstrings to NumPy's format, for docs/build_site.py.

The docstrings of this package are in SpeechBrain's format, which is NumPy's
with the section names ``Arguments`` and ``Example``.

Authors
 * The miipher2 authors 2026
"""

import re

import griffe

SECTIONS = {"Arguments": "Parameters", "Example": "Examples"}


class SpeechBrainDocstrings(griffe.Extension):
    """Extension that renames sections and removes the list of authors."""

    def on_object(self, *, obj, **kwargs):
        """Convert a docstring before it is parsed."""
        if obj.docstring is None:
            return
        obj.docstring.value = obj.docstring.value.partition("\nAuthors\n")[0]
        for old, new in SECTIONS.items():
            obj.docstring.value = re.sub(
                rf"^{old}\n-+$",
                f"{new}\n{'-' * len(new)}",
                obj.docstring.value,
                flags=re.MULTILINE,
            )
