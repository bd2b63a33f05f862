"""ECQ: entropy-constrained quantization with quantization-aware training.

Source: ECQx [becking2021ecqx], eq. 4 to 6; EC2T [marban2020ec2t]. Deviation: the
constraint of each tensor is relative to the strength that would zero it, so that ``lam`` is on
another scale than in the authors' experiments: compare fronts, not single values.
"""

from dataclasses import dataclass

from ecqx.compression.assignment.assigners import EntropyConstrained
from ecqx.compression.assignment.grid import N_LEVELS
from ecqx.compression.contract import (
    Compressed,
    Penalty,
    check_choice,
    check_range,
    parameter,
    quantizable,
)
from ecqx.compression.obs.initial import INITIAL, start_from
from ecqx.compression.training import train_quantized


@dataclass(frozen=True)
class ECQ:
    """Cheapest level under squared distance plus lam times code length.

    ``initial`` names the codes that training starts from, see :mod:`ecqx.compression.obs.initial`.
    """

    levels: int = parameter(16, label="levels per weight")
    lam: float = parameter(0.1, label="λ: weight of the entropy term")
    initial: str = parameter("nearest", words="from {} codes")

    def __post_init__(self):
        check_range("levels", self.levels, *N_LEVELS)
        check_range("lam", self.lam, 0.0, 1.0)
        check_choice("initial", self.initial, INITIAL)

    def compress(self, model, task, rng, penalty: Penalty | None = None) -> Compressed:
        """See :class:`ecqx.compression.contract.Method`."""
        assigner = EntropyConstrained(quantizable(model), levels=self.levels, lam=self.lam)
        start_from(self.initial, model, assigner.grids, task, rng)
        return train_quantized(model, task, assigner, penalty)
