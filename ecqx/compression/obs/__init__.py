"""Optimal brain quantization: rounding in which later weights make up for earlier errors."""
