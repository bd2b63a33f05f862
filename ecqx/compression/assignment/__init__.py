"""Which level every weight takes: grids, power diagrams, and the price of zero."""
