"""What a page says of where its results come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecqx.results import provenance

LINKS = (
    ("ECQx (Becking et al. 2021)", "https://arxiv.org/abs/2109.04236"),
    ("WCAM (Park et al. 2020)", "https://arxiv.org/abs/2010.15054"),
    ("NNCodec, the coder", "https://github.com/fraunhoferhhi/nncodec"),
)


@dataclass(frozen=True)
class About:
    """Where results come from.

    Attributes
    ----------
    benchmark, schema : int, optional; the versions of the benchmark and of its tables.
    origins : list of dict, as in :class:`ecqx.results.provenance.Provenance`.
    methods : dict of str to str, method -> what it is, in one line.
    configurations : list of str, YAML.
    links : (text, address) of what to read.
    """

    benchmark: int | None = None
    schema: int | None = None
    origins: list[dict[str, Any]] = field(default_factory=list)
    methods: dict[str, str] = field(default_factory=dict)
    configurations: list[str] = field(default_factory=list)
    links: tuple[tuple[str, str], ...] = LINKS


def of(folder: str | Path) -> About:
    """What a folder of results says of itself; nothing but links, of older ones.

    Raises
    ------
    ValueError : its provenance.json is none.
    """
    texts = provenance.configurations(folder)
    if (known := provenance.read(folder)) is None:
        return About(configurations=texts)
    return About(known.benchmark, known.schema, known.origins, known.methods, texts)
