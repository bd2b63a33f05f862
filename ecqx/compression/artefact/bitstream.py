"""The artefact of a compressed network: one ISO/IEC 15938-17 (NNC) bitstream.

Integer codes are coded losslessly by DeepCABAC, steps exactly (as the four bytes of a float32),
everything else (biases, normalisation) by the codec's fine uniform quantization, whose step of
5 * 2^-21 is the codec's own default for tensors that are not weights. The bitstream carries names
and shapes: it decodes to a state dict without the model at hand.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import torch
from nncodec import nnc_core  # nncodec.nnc would import torchvision and OpenCV: seconds per job
from nncodec.nnc_core.coder import hls
from torch import Tensor

from ecqx.compression.contract import CodecQuantized, Quantized

_STEPS = "steps"  # float32 bytes of the steps of all integer weights, in order of their names
_QP_DENSITY = 2
_FINE_QP = -75  # step 5 * 2^-21 = 2.4e-6
_UNARY_LENGTH = 10


def encode(tensors: Mapping[str, Tensor | Quantized | CodecQuantized]) -> bytes:
    """Bitstream of a compressed network.

    Parameters
    ----------
    tensors : as in :class:`ecqx.compression.contract.Compressed`. Floating tensors must be
        finite and below 5000 in magnitude (the range of the fine quantization), integer tensors
        must fit 32 bits.

    Raises
    ------
    ValueError : a value that the bitstream cannot carry, naming the tensor.
    """
    parameters: dict[str, np.ndarray] = {}
    codec: dict[str, CodecQuantized] = {}
    steps = b""
    for name in sorted(tensors):
        entry = tensors[name]
        if name == _STEPS:
            raise ValueError(f"tensor name {name!r} is reserved for the steps")
        if isinstance(entry, Quantized):
            if entry.codes.ndim < 2:
                raise ValueError(f"{name}: quantized weights need two or more dimensions")
            if entry.codes.is_floating_point():
                raise ValueError(f"{name}: codes are {entry.codes.dtype}, expected integers")
            if not entry.step > 0:
                raise ValueError(f"{name}: the step is {entry.step}, expected one above 0")
            parameters[name] = _integers(name, entry.codes)
            steps += struct.pack("<f", entry.step)
        elif isinstance(entry, CodecQuantized):
            parameters[name] = _floats(name, entry.values)
            codec[name] = entry
        elif entry.is_floating_point():
            parameters[name] = _floats(name, entry, limit=5000.0)
        elif entry.ndim >= 2:
            # The decoder tells codes from buffers by their dimensions.
            raise ValueError(f"{name}: integer buffers of two or more dimensions cannot be coded")
        else:
            parameters[name] = _integers(name, entry)
    if steps:
        parameters[_STEPS] = np.frombuffer(steps, np.uint8).astype(np.int32)
    return _nnc_encode(parameters, codec)


def decode(bitstream: bytes) -> dict[str, Tensor]:
    """State dict carried by a bitstream: float32 weights, integer buffers as int64.

    Scalars come back with shape (1,); :func:`load` restores their shape.

    Raises
    ------
    ValueError : bytes that are not a complete bitstream of this kind.
    """
    try:
        parameters = _nnc_decode(bitstream)
    except Exception as error:
        raise ValueError(f"not a decodable bitstream ({len(bitstream)} bytes): {error}") from error
    state: dict[str, Tensor] = {}
    steps = parameters.pop(_STEPS, np.zeros(0, np.int32)).astype(np.uint8).tobytes()
    step_of = iter(struct.unpack(f"<{len(steps) // 4}f", steps))
    for name in sorted(parameters):
        tensor = torch.from_numpy(parameters[name].copy())
        if not tensor.is_floating_point():
            if tensor.ndim >= 2:
                tensor = Quantized(tensor, next(step_of)).dequantize()
            else:
                tensor = tensor.to(torch.int64)
        state[name] = tensor
    return state


def load(model: torch.nn.Module, state: Mapping[str, Tensor]) -> torch.nn.Module:
    """Put a decoded state dict into a model, every tensor in its place and shape.

    Raises
    ------
    ValueError : a tensor missing, left over, or of another shape.
    """
    own = model.state_dict()
    if set(own) != set(state):
        differing = ", ".join(sorted(set(own) ^ set(state)))
        raise ValueError(f"the bitstream does not fit the model: tensors {differing}")
    for name, tensor in state.items():
        # a scalar comes back with a dimension
        if tensor.shape != own[name].shape and not (tensor.numel() == own[name].numel() == 1):
            raise ValueError(
                f"the bitstream does not fit the model: {name} has shape {tuple(tensor.shape)}, "
                f"the model {tuple(own[name].shape)}"
            )
    model.load_state_dict({name: t.reshape(own[name].shape) for name, t in state.items()})
    return model


def _integers(name: str, tensor: Tensor) -> np.ndarray:
    values = tensor.detach().cpu()
    if values.numel() and int(values.abs().max()) > 2**31 - 1:
        raise ValueError(f"{name}: integers beyond 32 bits cannot be coded")
    return np.atleast_1d(np.ascontiguousarray(values.numpy().astype(np.int32)))


def _floats(name: str, tensor: Tensor, limit: float = float("inf")) -> np.ndarray:
    values = tensor.detach().cpu().to(torch.float32)
    if not bool(values.isfinite().all()):
        raise ValueError(f"{name}: a value is not finite")
    if values.numel() and float(values.abs().max()) > limit:
        raise ValueError(f"{name}: magnitude {float(values.abs().max()):g} exceeds {limit:g}")
    return np.atleast_1d(np.ascontiguousarray(values.numpy()))


def _nnc_encode(parameters: dict[str, np.ndarray], codec: dict[str, CodecQuantized]) -> bytes:
    """What ``nncodec.nnc.compress`` does, with trellis quantization for the named tensors only."""
    model = nnc_core.nnr_model.NNRModel(parameters)
    data = nnc_core.approximator.init_approx_data(
        parameters, model.model_info, qp_density=_QP_DENSITY, scan_order=0
    )
    encoder = {
        "cabac_unary_length_minus1": _UNARY_LENGTH,
        "param_opt_flag": True,
        "partial_data_counter": 0,
        "general_profile_idc": 1,
        "mps_parent_signalling_enabled_flag": 0,
        "parent_node_id_present_flag": 0,
        "node_id_present_flag": 1,
        "parent_node_id_type": hls.ParentNodeIdType.ICNN_NDU_ID,
        "parent_device_id": 0,
        "device_id": 0,
        "temporal_context_modeling_flag": 0,
        "row_skip_enabled_flag": 1,
        "pre_signalling": 0,
    }
    scales = {entry.lambda_scale for entry in codec.values()}
    if len(scales) > 1:
        raise ValueError(f"one network takes one lambda_scale, got {sorted(scales)}")
    info = nnc_core.approximator.ApproxInfo(
        data,
        model.model_info,
        "uniform",
        codebook_mode=0,
        qp=_FINE_QP,
        opt_qp=False,
        disable_dq=True,
        cabac_unary_length_minus1=_UNARY_LENGTH,
        lambda_scale=scales.pop() if scales else 0.0,
        nonweight_qp=_FINE_QP,
        qp_per_tensor={name: entry.qp for name, entry in codec.items()},
    ).approx_info
    info["qp"] = {name: np.int32(qp) for name, qp in info["qp"].items()}
    info["dq_flag"].update(dict.fromkeys(codec, 1))
    data = nnc_core.approximator.approx(info, model.model_info, data, encoder)
    bitstream, _ = nnc_core.coder.encode(
        enc_info=encoder, model_info=model.model_info, approx_data=data
    )
    return bytes(bitstream)


def _nnc_decode(bitstream: bytes) -> dict[str, np.ndarray]:
    """What ``nncodec.nnc.decompress`` does for a base network without folding."""
    flags = ("sparsification", "pruning", "unification", "decomposition_performance_map")
    information = {
        "parameter_type": {},
        "parameter_dimensions": {},
        "parameter_index": {},
        "block_identifier": {},
        "topology_storage_format": None,
        "topology_compression_format": None,
        "performance_maps": {"mps": {}, "lps": {}},
        "performance_map_flags": {
            f"{scope}_{flag}_flag": {} for flag in flags for scope in ("mps", "lps")
        },
    }
    data = nnc_core.coder.decode(bytearray(bitstream), information, hls_stats={}, oob_dict={})
    nnc_core.approximator.rec(data)
    return data["parameters"]
