"""The methods that are part of the library; ``baselines/`` offers them to the workflow."""
