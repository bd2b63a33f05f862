"""The page is made of the same tables as the figures."""

from tests.unit.results.conftest import attributions, runs  # noqa: F401
