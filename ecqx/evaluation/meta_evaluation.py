"""Which metric to trust: one that stays when next to nothing changes, and falls when all does.

Meta-evaluation of Hedström et al. [hedstrom2023metaquantus]. What a metric judges is perturbed,
slightly or until decisions change. A metric should be resilient to noise: slight perturbations
should neither shift its values (intra-consistency) nor change the order in which it ranks networks
(inter-consistency). And it should react to adversaries: where decisions change, values should be
others, and worse. There, explanation methods are ranked; here, networks, since that is what the
metrics are for.

A p-value sees the smallest shift if it goes to one side, and none in a metric that is too coarse to
shift. `noise_to_signal` therefore says how large the shifts are.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn


def perturbed_network(model: nn.Module, deviation: float, rng: torch.Generator) -> nn.Module:
    """A copy of a network, each of its parameters times a factor from N(1, deviation²).

    Parameters
    ----------
    model : nn.Module, comes back as it was.
    deviation : float, at least 0.
    rng : torch.Generator, on the CPU; the factors depend on its state alone.
    """
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=rng)
            parameter.mul_(1 + deviation * noise.to(parameter))
    return model


def perturbed_inputs(x: Tensor, amplitude: float, rng: torch.Generator) -> Tensor:
    """Inputs plus noise from U(-amplitude, amplitude), clipped to the range of the inputs.

    Parameters
    ----------
    x : Tensor, shape (n, C, H, W)
    amplitude : float, at least 0.
    rng : torch.Generator, on the CPU; the noise depends on its state alone.
    """
    noise = 2 * torch.rand(x.shape, generator=rng).to(x) - 1
    return (x + amplitude * noise).clamp(x.min(), x.max())


def noise_resilience(
    before: np.ndarray, after: np.ndarray, kept: np.ndarray
) -> tuple[float, float]:
    """How far a metric stays as it is under slight noise.

    Parameters
    ----------
    before, after : ndarray, shape (networks, samples); values of the metric without noise and with.
    kept : ndarray of bool, shape (networks, samples); where the network decides as without noise.
        Other samples do not count; for ranks, samples where all networks do.

    Returns
    -------
    intra : float, in [0, 1]; p-value of Wilcoxon's signed-rank test of `before` against `after`,
        mean over networks. High if noise shifts values to neither side.
    inter : float, in [0, 1]; share of the networks' ranks that stay, over all samples. Networks
        with equal values share their ranks.

    NaN where nothing counts.
    """
    intra = _mean([_p_value(a[k], b[k]) for a, b, k in zip(before, after, kept, strict=True)])
    everywhere = kept.all(axis=0)
    return intra, _mean(_ranks(before)[:, everywhere] == _ranks(after)[:, everywhere])


def adversary_reactivity(
    before: np.ndarray, after: np.ndarray, changed: np.ndarray, higher_is_better: bool
) -> tuple[float, float]:
    """How far a metric tells when what it judges is destroyed.

    Parameters
    ----------
    before, after : ndarray, shape (networks, samples); values of the metric without the
        perturbation and with.
    changed : ndarray of bool, shape (networks, samples); where the network decides otherwise than
        without. Other samples do not count.
    higher_is_better : bool, of the metric.

    Returns
    -------
    intra : float, in [0, 1]; 1 minus the p-value of Wilcoxon's signed-rank test, mean over
        networks. High if values shift.
    inter : float, in [0, 1]; share of values that are worse than before.

    NaN where nothing counts.
    """
    parts = zip(before, after, changed, strict=True)
    intra = 1 - _mean([_p_value(a[k], b[k]) for a, b, k in parts])
    worse = after < before if higher_is_better else after > before
    return intra, _mean(worse[changed])


def noise_to_signal(
    before: np.ndarray, slightly: np.ndarray, entirely: np.ndarray, kept: np.ndarray,
    changed: np.ndarray,
) -> float:  # fmt: skip
    """How far slight noise moves a metric, relative to how far destruction does.

    Parameters
    ----------
    before, slightly, entirely : ndarray, shape (networks, samples); values of the metric without
        noise, with slight noise, and with one that destroys what it judges.
    kept, changed : ndarray of bool, shape (networks, samples); what counts of `slightly`, and of
        `entirely`; see `noise_resilience` and `adversary_reactivity`.

    Returns
    -------
    float, at least 0; mean absolute difference to `before` under slight noise, divided by that
    under the destroying one. NaN where nothing counts, or nothing moves at all.
    """
    noise = _mean(np.abs(slightly - before)[kept])
    signal = _mean(np.abs(entirely - before)[changed])
    return noise / signal if signal else np.nan


def _p_value(before: np.ndarray, after: np.ndarray) -> float:
    """Two-sided; pairs without a difference count half to either side. NaN without pairs."""
    from scipy.stats import wilcoxon

    if not len(before):
        return np.nan
    return float(wilcoxon(before, after, zero_method="zsplit", method="approx").pvalue)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of networks (networks, samples), sample by sample, ties given their average rank."""
    from scipy.stats import rankdata

    return rankdata(values, axis=0)


def _mean(values) -> float:
    """Of what is not NaN; NaN of nothing."""
    values = np.asarray(values, dtype=float)
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else np.nan
