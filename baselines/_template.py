"""Name of the method in one line: what it does to the weights.

Source: paper, venue, equations. Deviations: what differs here from the paper, and why.

To add a method, copy this file to ``baselines/<name>.py``, fill it in as
:class:`ecqx.compression.contract.Method` says, check it with
``python -m ecqx check baselines/<name>.py``, and add its grid and name to the configuration.
As it stands it is a working method: ternary weights by a magnitude threshold [li2016ternary].
"""

from dataclasses import dataclass

import torch

from ecqx.compression.contract import Compressed, Quantized, check_range, parameter, quantizable

# What figures, tables and the page call it, and its color there. Either may be left out.
LABEL = "Ternary"
COLOR = "#7a5c00"


@dataclass(frozen=True)
class Method:
    """``threshold`` is in units of the tensor's mean magnitude; weights below it become zero."""

    threshold: float = parameter(0.7, label="threshold of magnitude")

    def __post_init__(self):
        check_range("threshold", self.threshold, 0.0, 10.0)

    def skip(self, model, task) -> str | None:
        # May be left out.
        return None

    def compress(self, model, task, rng) -> Compressed:
        weights = quantizable(model)
        tensors = {}
        for name, tensor in model.state_dict().items():
            if name not in weights:
                tensors[name] = tensor.clone()  # biases, normalisation: as they are
                continue
            kept = tensor.abs() > self.threshold * tensor.abs().mean()
            step = float(tensor[kept].abs().mean()) if kept.any() else 1.0
            tensors[name] = Quantized((tensor.sign() * kept).to(torch.int32), step)
        return Compressed(tensors)
