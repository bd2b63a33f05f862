"""Data sets, models and full-precision training: what there is to compress."""
