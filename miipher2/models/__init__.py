"""Neural networks: backbones, adapters, the feature cleaner, pretraining.

Authors
 * The miipher2 authors 2026
"""
