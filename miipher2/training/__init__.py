"""Datasets, losses, Brains and checkpoints of the three training stages.

Authors
 * The miipher2 authors 2026
"""
