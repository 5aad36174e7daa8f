"""Restoration of waveforms and audio files with a trained model.

Authors
 * The miipher2 authors 2026
"""
