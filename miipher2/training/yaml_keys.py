"""The keys of a training YAML, with their defaults and comments.

Authors
 * The miipher2 authors 2026
"""

import re
from pathlib import Path
from typing import NamedTuple

SECTION = re.compile(r"# -{3,} (.+)")
KEY = re.compile(r"([A-Za-z]\w*):(?: (.*?))?(?:\s+# (.*))?")


class Key(NamedTuple):
    """A key at the top level of a YAML file, as text."""

    section: str
    name: str
    value: str
    comment: str


def yaml_keys(path):
    """Return the keys at the top level of a YAML file, in file order.

    Keys that start with an underscore are left out.

    Arguments
    ---------
    path : str or Path
        The YAML file.

    Returns
    -------
    list of Key
        The keys with their values and comments. The value is the text after
        the key; for a nested value, it is only the tag. The comment is on the
        key's line or above it. A comment above a key also applies to the
        following keys without a comment, up to the next blank line.
    """
    keys, section, above, in_comment = [], "", [], False
    for line in Path(path).read_text("utf-8").splitlines():
        match = KEY.fullmatch(line)
        if line.startswith("#"):
            above = [*above, line] if in_comment else [line]
            if title := SECTION.fullmatch(line):
                section, above = title[1], []
        elif not line:
            above = []
        elif match:
            name, value, comment = match.groups(default="")
            text = comment or " ".join(part[1:].strip() for part in above)
            keys.append(Key(section, name, value, text))
        in_comment = line.startswith("#")
    return keys
