"""Hashes of texts, file names and file contents.

Authors
 * The miipher2 authors 2026
"""

import hashlib


def digest(text):
    """Hash a text or a file name, even if it is not valid UTF-8.

    Arguments
    ---------
    text : str
        The text.

    Returns
    -------
    str
        SHA-256 as 64 hexadecimal digits.

    Example
    -------
    >>> digest("anna")[:8]
    '55579b55'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def file_digest(path):
    """Hash the content of a file.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    str
        SHA-256 as 64 hexadecimal digits.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> _ = path.write_text("anna")
    >>> file_digest(path) == digest("anna")
    True
    """
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            hashed.update(block)
    return hashed.hexdigest()
