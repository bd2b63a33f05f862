"""From collected runs to statistics, tables and figures.

DataFrame in, DataFrame, text or Figure out: nothing here reads or writes a file, and nothing
here imports torch, so that tables and figures are made again in seconds.
"""
