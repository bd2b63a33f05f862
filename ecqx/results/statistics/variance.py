"""Where the variance of a measurement comes from: pretraining, compression, or the inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_AXES = ("pretraining seed", "compression seed", "input")


@dataclass(frozen=True)
class VarianceComponents:
    """Variances of the random effects in y = mean + P + C(P) + I + IP + IC(P).

    Attributes
    ----------
    mean : float, over everything.
    pretraining : float, of P, which all runs of one pretrained network share.
    compression : float, of C(P), which all inputs of one run share.
    inputs : float, of I, which all runs share on an input.
    inputs_by_pretraining : float, of IP: how an input's effect differs between pretrained networks.
    inputs_by_compression : float, of IC(P): how it differs between runs of one such network. There
        is one value for each input and run, so that what is left unexplained is part of it.
    run_mean : float, of a run's mean over the inputs, between networks pretrained anew.
    n_inputs : int
    negative : tuple of str, the names above of which the estimate was negative and was set to 0.
    """

    mean: float
    pretraining: float
    compression: float
    inputs: float
    inputs_by_pretraining: float
    inputs_by_compression: float
    run_mean: float
    n_inputs: int
    negative: tuple[str, ...]

    @property
    def between_runs(self) -> dict[str, float]:
        """Parts of ``run_mean``: all runs are measured on the same inputs.

        ``pretraining``, ``compression``, and ``inputs_by_run``, what the interactions with so few
        inputs add. Their sum is ``run_mean`` if none of them was negative, and above it else.
        """
        by_run = self.inputs_by_pretraining + self.inputs_by_compression
        return {
            "pretraining": self.pretraining,
            "compression": self.compression,
            "inputs_by_run": by_run / self.n_inputs,
        }

    @property
    def choice_of_inputs(self) -> float:
        """Variance that other inputs, as many, would add to the mean of all runs alike."""
        return self.inputs / self.n_inputs


def variance_components(values) -> VarianceComponents:
    """Analysis of variance of compression seeds within pretraining seeds, crossed with inputs.

    All effects are random and the design is balanced: every pretrained network is compressed with
    as many seeds of its own, and every run is measured on the same inputs. Mean squares are equated
    with their expectations (method of moments; [searle1992variance, chapter 4]), which is unbiased
    and assumes no distribution. Estimates below 0 are set to 0, after which they are not unbiased,
    and ``negative`` names them. ``run_mean`` is estimated from the means of the runs alone, and
    never negative.

    The squared standard error of one run's mean, std^2 / n over its inputs, is no substitute for
    the parts that come from the inputs: most of it may be the effect of inputs that is alike for
    all runs, which moves none of them against another.

    Parameters
    ----------
    values : array_like, shape (pretraining seeds, compression seeds, inputs); at least 2 of each.

    Raises
    ------
    ValueError : another shape, fewer than 2 along an axis, or a value that is not finite.
    """
    y = np.asarray(values, dtype=float)
    if y.ndim != 3:
        raise ValueError(
            f"values: got {y.ndim} axes, expected 3 (pretraining seeds, compression seeds, inputs)"
        )
    for name, size in zip(_AXES, y.shape, strict=True):
        if size < 2:
            raise ValueError(f"values: got {size} {name}, expected at least 2")
    if not np.isfinite(y).all():
        raise ValueError("values: not all are finite")
    a, b, n = y.shape
    mean = y.mean()
    y = y - mean  # squares of large means would drown small variances
    runs, networks, inputs = y.mean(axis=2), y.mean(axis=(1, 2)), y.mean(axis=(0, 1))
    networks_inputs = y.mean(axis=1)

    def mean_square(residual: np.ndarray, repeated: int, degrees: int) -> float:
        return float(repeated * (residual**2).sum() / degrees)

    of_networks = mean_square(networks, b * n, a - 1)
    of_runs = mean_square(runs - networks[:, None], n, a * (b - 1))
    of_inputs = mean_square(inputs, a * b, n - 1)
    of_networks_inputs = mean_square(
        networks_inputs - networks[:, None] - inputs, b, (a - 1) * (n - 1)
    )
    of_rest = mean_square(
        y - runs[:, :, None] - networks_inputs[:, None] + networks[:, None, None],
        1, a * (b - 1) * (n - 1),
    )  # fmt: skip
    estimates = {
        "pretraining": (of_networks - of_runs - of_networks_inputs + of_rest) / (b * n),
        "compression": (of_runs - of_rest) / n,
        "inputs": (of_inputs - of_networks_inputs) / (a * b),
        "inputs_by_pretraining": (of_networks_inputs - of_rest) / b,
        "inputs_by_compression": of_rest,
    }
    return VarianceComponents(
        mean=float(mean),
        **{name: max(0.0, value) for name, value in estimates.items()},
        run_mean=(of_networks + (b - 1) * of_runs) / (b * n),
        n_inputs=n,
        negative=tuple(name for name, value in estimates.items() if value < 0),
    )
