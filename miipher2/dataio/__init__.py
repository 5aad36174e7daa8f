"""Reading and writing files: audio, manifests, tables and YAML.

Authors
 * The miipher2 authors 2026
"""
