"""NNCodec: the codec's own rate-distortion-optimised trellis quantization, no training.

Source: DeepCABAC [wiedemann2020deepcabac]; NNCodec [becking2023nncodec], a codec of
ISO/IEC 15938-17 [iso2022nnc].
One quantization parameter for all weights, as the codec has it by default; other tensors at the
codec's fine default. Deviations: by default the trellis weighs the rate (``lambda_scale`` 1), which
the package leaves out (0); rows of zeros are skipped, as the package's ``nncodec.nn.encode`` has it
and its ``nncodec.nnc.compress`` has not.
"""

from dataclasses import dataclass

from ecqx.compression.contract import (
    CodecQuantized,
    Compressed,
    check_range,
    parameter,
    quantizable,
)


@dataclass(frozen=True)
class NNCodec:
    """Dependent quantization at step 2^(qp/4), roughly; a larger qp is coarser.

    ``lambda_scale`` weighs the rate in the trellis' decisions; 0 minimises distortion alone.
    """

    qp: int = parameter(-20, label="QP: quantization parameter")
    lambda_scale: float = parameter(1.0, role="variant", label="λ: weight of the rate")

    def __post_init__(self):
        check_range("qp", self.qp, -60, 8)
        check_range("lambda_scale", self.lambda_scale, 0.0, 100.0)

    def compress(self, model, task, rng) -> Compressed:
        weights = quantizable(model)
        return Compressed(
            {
                name: CodecQuantized(tensor.clone(), self.qp, self.lambda_scale)
                if name in weights
                else tensor.clone()
                for name, tensor in model.state_dict().items()
            }
        )
