"""Vocoders, which synthesise waveforms from features.

Authors
 * The miipher2 authors 2026
"""
