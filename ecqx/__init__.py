"""How small can a network get before its accuracy, and before its explanations, break?

The library behind the benchmark, in four storeys, each importing only from those below it:
``ecqx.results`` (statistics, tables, figures), ``ecqx.evaluation`` (explainers, consistency,
localisation), ``ecqx.compression`` (method contract, quantization-aware training, bitstream),
``ecqx.tasks`` (data sets, models, full-precision training).
"""

__version__ = "0.1.0"


def __getattr__(name: str):
    # The one call of the library, without the cost of torch where only the name ecqx is needed.
    if name == "compress":
        from ecqx.compression.api import compress

        return compress
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
