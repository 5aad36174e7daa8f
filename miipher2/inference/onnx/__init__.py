"""Export of models to ONNX files, and restoration with these files.

Authors
 * The miipher2 authors 2026
"""
