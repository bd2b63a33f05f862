"""WCAM: attribution-preserving compression, here of uniform quantization-aware training.

Source: Park et al., NeurIPS 2020 (arXiv 2010.15054), sensitivity-weighted matching (SWA) with
gamma = 100. Deviation: the paper matches maps while distilling and pruning; matching them while
quantizing is an adaptation. In a network without convolutions the last hidden activation vector
takes the place of the feature map.
"""

from dataclasses import dataclass

from ecqx.compression.assigners import Nearest
from ecqx.compression.contract import Compressed, check_range, quantizable
from ecqx.compression.matching import AttributionMatching
from ecqx.compression.training import train_quantized


@dataclass(frozen=True)
class Method:
    """Uniform quantization-aware training with a penalty on changed attribution maps."""

    bits: int = 4
    gamma: float = 100.0

    def __post_init__(self):
        check_range("bits", self.bits, 2, 8)
        check_range("gamma", self.gamma, 0.0, 1.0e6)

    def compress(self, model, task, rng) -> Compressed:
        assigner = Nearest(quantizable(model), self.bits)
        with AttributionMatching(model, self.gamma, task.train.x[:1]) as penalty:
            return train_quantized(model, task, assigner, rng, penalty)
