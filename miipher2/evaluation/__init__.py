"""Objective evaluation of restored speech: metrics, reports and the gate.

Authors
 * The miipher2 authors 2026
"""
