"""Restoring corpora of any size: read, cut, batch, speak, join, write.

A recording is measured (``recording``), cut into overlapping windows
(``windows``), restored in batches together with others (``engine``), joined,
brought to its level and written (``writing``); ``pipeline`` lets these run side
by side in threads, ``processes`` in processes for a GPU, ``manifest`` remembers
what is done.
"""
