"""Name of the method in one line: what it does to the weights.

Source: paper, venue, equations. Deviations: what differs here from the paper, and why.

To add a method, copy this file to ``baselines/<name>.py``, fill it in, check it with
``python -m ecqx.checks baselines/<name>.py``, and add its grid and name to the configuration.
As it stands it is a working method: ternary weights by a magnitude threshold (Li et al. 2016).
"""

from dataclasses import dataclass

import torch

from ecqx.compression.contract import Compressed, Quantized, check_range, parameter, quantizable


@dataclass(frozen=True)
class Method:
    """All hyper-parameters are fields: int, float, str or bool, each with a default.

    ``threshold`` is in units of the tensor's mean magnitude; weights below it become zero.
    """

    threshold: float = parameter(0.7, label="threshold of magnitude")

    def __post_init__(self):
        # Only validation here; the message has to name field, value and range.
        check_range("threshold", self.threshold, 0.0, 10.0)

    def skip(self, model, task) -> str | None:
        """Why the method does not apply to the full-precision model, or None. May be left out."""
        return None

    def compress(self, model, task, rng) -> Compressed:
        """Compress the full-precision model, a copy that may be altered.

        ``task`` offers ``train``, ``validation``, ``loss``, ``score``, ``batches(rng)`` and the
        ``budget`` that all methods share, never test data. All randomness comes from ``rng``.
        For training on the grid see ``ecqx.compression.training.train_quantized``. Raise
        ``ecqx.compression.contract.Diverged`` when the numbers stop being finite. Do not measure
        size, accuracy or time: the benchmark decodes the bitstream and measures that.
        """
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
