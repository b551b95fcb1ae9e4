"""Scaling laws: formulas, gradients, constants, units and sources. One law a file."""
