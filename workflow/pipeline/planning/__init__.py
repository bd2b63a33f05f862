"""From a configuration to jobs; imports no torch."""
