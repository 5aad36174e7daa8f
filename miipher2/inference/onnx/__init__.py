"""Models as ONNX files: export, and restoration without their PyTorch modules.

Authors
 * The miipher2 authors 2026
"""
