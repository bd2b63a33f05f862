"""The Python side of the workflow: what plans it, and what its jobs share."""
