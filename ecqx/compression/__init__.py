"""Compression: method contract, grid, assignment, relevance, training and bitstream."""
