"""How small can a network get before its accuracy, and before its explanations, break?

The library behind the benchmark, in storeys, each importing only from those below it: ``ecqx.page``
(the page to explore results with), ``ecqx.results`` (statistics, tables, figures),
``ecqx.evaluation`` (explainers, consistency, localisation), ``ecqx.compression`` (method contract,
quantization-aware training, bitstream), ``ecqx.attribution`` (layer-wise relevance propagation and
what it needs to know of a network), ``ecqx.tasks`` (data sets, models, full-precision training).
"""

import importlib

__version__ = "0.2.0"


def __getattr__(name: str):
    # The calls of the library, without the cost of torch where only the name ecqx is needed.
    # By name: an import statement here would make the whole library a part of every script.
    if name in ("compress", "decode", "load"):
        return getattr(importlib.import_module("ecqx.compression.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
