"""The bitstream of a compressed network, and how large it is."""
