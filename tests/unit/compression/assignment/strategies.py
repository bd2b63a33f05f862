"""Random weight tensors and grids for property tests."""

import torch
from hypothesis import strategies as st

from ecqx.compression.assignment.grid import fit_grid


@st.composite
def weights(draw, min_size=2, max_size=400, dtypes=(torch.float32, torch.float64)):
    """Gaussian, heavy-tailed, one-sided, sparse or clustered tensors."""
    size = draw(st.integers(min_size, max_size))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    base = torch.randn(size, generator=rng, dtype=torch.float64)
    shape = draw(st.sampled_from(["normal", "heavy", "positive", "sparse", "clustered"]))
    if shape == "heavy":
        base = base**3
    elif shape == "positive":
        base = base.abs()
    elif shape == "sparse":
        base = base * (torch.rand(size, generator=rng) < 0.2)
    elif shape == "clustered":
        base = base.round() + 0.01 * torch.randn(size, generator=rng, dtype=torch.float64)
    scale = draw(st.sampled_from([1e-4, 0.05, 1.0, 30.0]))
    return (base * scale).to(draw(st.sampled_from(dtypes)))


@st.composite
def weights_on_grids(draw, **options):
    weight = draw(weights(**options))
    return weight, fit_grid(weight, levels=draw(st.integers(3, 32)))
