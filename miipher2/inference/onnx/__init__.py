"""Export of models to ONNX files, and restoration without PyTorch modules.

Authors
 * The miipher2 authors 2026
"""
