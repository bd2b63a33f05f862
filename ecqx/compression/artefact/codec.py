"""Arrays as the units of an ISO/IEC 15938-17 (NNC) bitstream, and back.

Integer levels are coded without loss by DeepCABAC and stand for multiples of a step of the
standard's grid; what has to stay bit by bit as it is is sent as raw floats. Any decoder of the
standard reads what is written here.

Sources: ISO/IEC 15938-17 [iso2022nnc]; nncodec [becking2023nncodec], whose coder does the coding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nncodec.extensions import deepCABAC
from nncodec.nnc_core import approximator, coder, hls  # nncodec.nnc would import torchvision: slow
from nncodec.nnc_core.hdsp.hdsp_tool import HDSP_OPTS_OFF

# Steps are (2^d + qp mod 2^d) * 2^(qp div 2^d - d). At the largest density that the standard has
# room for, the step next to any number is at most 0.4 % off.
DENSITY = 7
_PER_OCTAVE = 1 << DENSITY
_QP_RANGE = (-(1 << (5 + DENSITY)), (1 << (5 + DENSITY)) - 1)
_UNARY = 10  # where binarisation turns from unary to Exp-Golomb; the standard's default
_PAYLOADS = hls.CompressedDataUnitPayloadType
_PROFILE = 1  # the standard's second edition: rows of zeros are skipped
# What a bitstream may make its reader set aside room for: a few bytes can announce any size.
MOST_VALUES = {"array": 1 << 28, "bitstream": 1 << 30}


@dataclass(frozen=True)
class Levels:
    """An array of integers that stand for multiples of a step.

    Attributes
    ----------
    values : int32 ndarray of one or more dimensions
    qp : int, of the step, see :func:`step_of`
    trellis : whether the levels are those of the codec's trellis quantization, whose two quantizers
        take turns
    """

    values: np.ndarray
    qp: int
    trellis: bool = False


def step_of(qp: int) -> float:
    """The step of a quantization parameter; exact in float32."""
    return float((_PER_OCTAVE + qp % _PER_OCTAVE) * 2.0 ** (qp // _PER_OCTAVE - DENSITY))


def nearest_qp(step: float) -> int:
    """The quantization parameter whose step is nearest; they span 2^-32 to 2^32.

    Raises
    ------
    ValueError : the step is not between.
    """
    if not step_of(_QP_RANGE[0]) <= step <= step_of(_QP_RANGE[1]):
        raise ValueError(f"step {step:g}: expected 2^-32 to 2^32")
    mantissa, exponent = math.frexp(step)  # step = mantissa * 2^exponent, 0.5 <= mantissa < 1
    # of the next octave, where it is nearer
    qp = (exponent - 1) * _PER_OCTAVE + round((2 * mantissa - 1) * _PER_OCTAVE)
    return min(qp, _QP_RANGE[1])


def qp_of_density_2(qp: int) -> int:
    """The same step's quantization parameter, where qp counts four steps an octave."""
    return qp * (_PER_OCTAVE // 4)


def trellis(values: np.ndarray, qp: int, lambda_scale: float) -> Levels:
    """The codec's own quantization of float32 weights, that weighs distortion against rate.

    Parameters
    ----------
    qp : of the step
    lambda_scale : float >= 0, weight of the rate
    """
    encoder, levels = deepCABAC.Encoder(), np.zeros(values.shape, np.int32)
    encoder.initCtxModels(_UNARY, 0)
    used = encoder.quantLayer(
        values, levels, 1, DENSITY, np.int32(qp), lambda_scale, _UNARY, 0, _PROFILE
    )
    return Levels(levels, int(used), trellis=True)


def encode(arrays: Sequence[tuple[str, Levels | np.ndarray]]) -> bytes:
    """One bitstream of named arrays, in their order.

    Parameters
    ----------
    arrays : pairs of a name (text without a zero byte) and levels, or last a float32 vector to be
        sent raw: the end of the bitstream, as it lies in memory.
    """
    start = coder.syntax_compiler.compile_start_unit(_PROFILE)
    parameters = coder.syntax_compiler.compile_mps({"qp_density": DENSITY}, False, _PROFILE)
    units = [_unit(start), _unit(parameters)]
    for name, array in arrays:
        if isinstance(array, Levels):
            units.append(_unit(_header(name, array.values.shape, array), _coded(array)))
        else:
            header = _header(name, array.shape) | {"raw_float32_parameter": array}
            units.append(_unit(header))
    return b"".join(units)


def decode(bitstream: bytes) -> dict[str, np.ndarray]:
    """The arrays of a bitstream by name, in their order: float32, levels times their steps.

    What this module does not write is refused before the codec sees it, which would follow headers
    into crashes and endless loops.

    Raises
    ------
    Exception : of whatever kind the codec raises for bytes that are no bitstream.
    """
    units(bitstream)
    maps = ("sparsification", "pruning", "unification", "decomposition_performance_map")
    information = {
        "parameter_type": {},
        "parameter_dimensions": {},
        "parameter_index": {},
        "block_identifier": {},
        "topology_storage_format": None,
        "topology_compression_format": None,
        "performance_maps": {"mps": {}, "lps": {}},
        "performance_map_flags": {
            f"{scope}_{flag}_flag": {} for flag in maps for scope in ("mps", "lps")
        },
    }
    data = coder.decode(bytearray(bitstream), information, hls_stats={}, oob_dict={})
    approximator.rec(data)
    return data["parameters"]


@dataclass(frozen=True)
class Unit:
    """Where a unit of a bitstream lies.

    Attributes
    ----------
    name : of the array that it holds; empty if none
    payload : the first byte behind its header
    end : the byte behind its last
    """

    name: str
    payload: int
    end: int


def units(bitstream: bytes) -> list[Unit]:
    """The units of a bitstream, in order.

    Raises
    ------
    Exception : of whatever kind the codec raises for bytes that are no bitstream; ValueError for
        units that :func:`encode` does not write, or more values than ``MOST_VALUES``.
    """
    found, values = [], 0
    for start, end in extents(bitstream):
        header: dict = {}
        reader = hls.BitReader(bytearray(bitstream[start : start + _LONGEST_HEADER]))
        stages = hls.decode_nnr_unit_size_and_header(reader, header)
        next(stages)
        if header["nnr_unit_type"] == hls.NnrUnitType.NNR_NDU:
            header |= _CONTEXT
            next(stages)
            next(stages)
            values += _checked(header)
            if values > MOST_VALUES["bitstream"]:
                raise ValueError(f"more than {MOST_VALUES['bitstream']} values")
        elif len(found) > 1:
            raise ValueError(f"unit {len(found)} holds no data")
        name = header.get("topology_elem_id", "")
        found.append(Unit(name, start + reader.getNumBytesTouched(), end))
    return found


def extents(bitstream: bytes) -> list[tuple[int, int]]:
    """First byte and byte behind the last of each unit, by their sizes alone.

    Raises
    ------
    ValueError : the sizes do not lead to the end.
    """
    found, start = [], 0
    while start < len(bitstream):
        # one bit says whether 15 or 31 bits have the size, which counts itself
        wide = bitstream[start] >> 7
        size = int.from_bytes(bitstream[start : start + 2 + 2 * wide], "big")
        size -= wide << 31
        if size < 2 or start + size > len(bitstream):
            raise ValueError(f"a unit of {size} bytes at byte {start} of {len(bitstream)}")
        found.append((start, start + size))
        start += size
    return found


def _checked(header: dict) -> int:
    """How many values a unit of data has; ValueError if it is none of ours."""
    name, shape = header["topology_elem_id"], tuple(map(int, header["tensor_dimensions"]))
    raw = header["nnr_compressed_data_unit_payload_type"] == _PAYLOADS.NNR_PT_RAW_FLOAT
    levels = None if raw else Levels(np.zeros(0, np.int32), 0, bool(header["dq_flag"]))
    expected = _header(name, shape, levels)
    differing = [
        key
        for key, value in expected.items()
        if key != "tensor_dimensions" and key in header and header[key] != value
    ]
    if differing:
        raise ValueError(f"array {name!r}: {differing[0]} is {header[differing[0]]}")
    count = math.prod(shape)
    if not 0 < count <= MOST_VALUES["array"]:
        raise ValueError(f"array {name!r}: is of shape {shape}")
    return count


_LONGEST_HEADER = 4096
_CONTEXT = {
    "general_profile_idc": _PROFILE,
    "mps_topology_indexed_reference_flag": 0,
    "mps_parent_signalling_enabled_flag": 0,
}


def _header(name: str, shape: tuple[int, ...], levels: Levels | None = None) -> dict:
    """The header of a unit of data, in the standard's terms."""
    return _CONTEXT | {
        "nnr_unit_type": hls.NnrUnitType.NNR_NDU,
        "independently_decodable_flag": 1,
        "partial_data_counter_present_flag": 0,
        "nnr_compressed_data_unit_payload_type": (
            _PAYLOADS.NNR_PT_RAW_FLOAT if levels is None else _PAYLOADS.NNR_PT_FLOAT
        ),
        "nnr_multiple_topology_elements_present_flag": 0,
        "nnr_decompressed_data_format_present_flag": 0,
        "input_parameters_present_flag": 1,
        "topology_elem_id": name,
        "node_id_present_flag": 0,
        "codebook_present_flag": 0,
        "dq_flag": int(levels is not None and levels.trellis),
        "tensor_dimensions_flag": 1,
        "cabac_unary_length_flag": 0,
        "compressed_parameter_types": 0,
        "count_tensor_dimensions": len(shape),
        "tensor_dimensions": shape,
        "first_tensor_dimension_shift": 0,
        "scan_order": 0,
    }


def _unit(header: dict, payload: bytes = b"") -> bytes:
    written = hls.encode_nnr_unit_with_size_dummy(header)
    written.extend(payload)
    return bytes(hls.update_nnr_unit_size(written)[0])


def _coded(levels: Levels) -> bytes:
    encoder, values = deepCABAC.Encoder(), levels.values
    encoder.iae_v(6 + DENSITY, levels.qp)
    encoder.initCtxModels(_UNARY, 1)
    empty_rows = np.zeros(values.shape[0], np.int32)
    if values.ndim >= 2:
        empty_rows[:] = ~values.reshape(values.shape[0], -1).any(axis=1)
    encoder.encodeLayer(
        values, int(levels.trellis), 0, _PROFILE, 0, 1, empty_rows, *HDSP_OPTS_OFF(), 0, 0
    )
    return encoder.finish().tobytes()
