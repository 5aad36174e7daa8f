"""Vocoders: features to waveforms.

Authors
 * The miipher2 authors 2026
"""
