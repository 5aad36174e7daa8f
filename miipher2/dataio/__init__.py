"""Audio files, manifests and everything else that is read from or written to disk.

Authors
 * The miipher2 authors 2026
"""
