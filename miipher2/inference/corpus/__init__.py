"""Restoration of whole corpora: inputs, shards, workers, journal, manifest.

Authors
 * The miipher2 authors 2026
"""
