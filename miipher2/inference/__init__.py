"""Restoration with a trained model: waveforms, files, windows and batches.

Authors
 * The miipher2 authors 2026
"""
