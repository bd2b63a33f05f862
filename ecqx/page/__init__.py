"""One self-contained HTML file to explore the results in a browser, offline.

``payload`` is what the page knows, ``maps`` the attribution maps in it, ``looks`` the look of the
methods, ``about`` where the results come from, ``document`` puts them into the template beside this
file. The scripts need a library, plotly.js (its basic bundle, version 4.1.1, MIT), which is in
``vendor`` with its license.
"""

from ecqx.page.about import About
from ecqx.page.document import render, render_folder
from ecqx.page.maps import Gallery

__all__ = ["About", "Gallery", "render", "render_folder"]
