"""Restoration of corpora: inputs, shards, workers, journals and manifests.

Authors
 * The miipher2 authors 2026
"""
