"""From collected runs to statistics, tables, figures and a page.

DataFrame in, DataFrame, text or Figure out: only ``files`` and ``compare`` read files of results.
Nothing here imports torch, so that tables and figures are made again in seconds.
"""
