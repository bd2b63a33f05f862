"""How small can a network get before its accuracy, and before its explanations, break?

The library behind the benchmark, in storeys, each importing only from those below it: ``ecqx.page``
(the page to explore results with), ``ecqx.results`` (statistics, tables, figures),
``ecqx.evaluation`` (explainers, consistency, localisation), ``ecqx.compression`` (method contract,
quantization-aware training, bitstream), ``ecqx.attribution`` (layer-wise relevance propagation and
what it needs to know of a network), ``ecqx.tasks`` (data sets, models, full-precision training).
"""

import importlib

__version__ = "0.2.0"

_CALLS = {
    "compress": "compression.api",
    "decode": "compression.api",
    "load": "compression.api",
    "architecture": "compression.api",
    "load_result": "access",
}


def __getattr__(name: str):
    # The calls of the library, without the cost of torch where only the name ecqx is needed.
    # By name: an import statement here would make the whole library a part of every script.
    if name in _CALLS:
        try:
            return getattr(importlib.import_module(f"ecqx.{_CALLS[name]}"), name)
        except ModuleNotFoundError as error:
            raise ImportError(
                f"ecqx.{name} needs {error.name}: pip install 'ecqx[compression]'"
            ) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
