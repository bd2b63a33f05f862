"""Settings of all property tests."""

import os

from hypothesis import settings

# No deadlines: machines are busy. Continuous integration tries the same examples every time, so
# that what it says is about the change; everybody else keeps looking for new ones.
settings.register_profile("search", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "search")
