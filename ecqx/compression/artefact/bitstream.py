"""The artefact of a compressed network: one ISO/IEC 15938-17 (NNC) bitstream.

Integer codes are coded without loss by DeepCABAC, with the step of the standard's grid that is
nearest to their own, at most 0.4 % off. Batch norms, biases and other parameters of one dimension
are two vectors for the whole network, rounded to multiples of 5 * 2^-11. Names and shapes are
compressed, and the last four bytes are a checksum of all others. The bitstream decodes to a state
dict without the model at hand, and any decoder of the standard finds the weights in it.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecqx.compression.artefact import codec, layout
from ecqx.compression.artefact.folding import folded
from ecqx.compression.artefact.layout import Entry
from ecqx.compression.contract import CodecQuantized, Quantized, content

FORMAT = 2
# Names of arrays beside the weights, which have numbers in base 26, of capital letters.
SCALES, SHIFTS, TABLE = "s", "b", "t"
# Chosen on validation data: up to there, rounding changes at most 4 in 1,000 predictions of
# networks of 3 levels, and gradient x input stays correlated by 0.995 (benchmarks/coder.py).
VECTOR_QP = codec.qp_of_density_2(-35)  # step 5 * 2^-11
PARTS = ("weights", "vectors", "exact", "names", "header")
_FINE_QP = codec.qp_of_density_2(-75)  # step 2.4e-6, for weights that a method did not quantize
# Vectors whose values are smaller than this (root mean square) are sent larger, by powers of two:
# the step is at most 1 % of it.
_LEAST_SIZE = 2.0**-2
_LARGEST_LEVEL = 2.0**30
_LONGEST_LAYOUT = 1 << 24  # bytes: some hundred thousand tensors


def encode(
    tensors: Mapping[str, Tensor | Quantized | CodecQuantized],
    model: torch.nn.Module,
    *,
    vector_qp: int = VECTOR_QP,
    architecture: Mapping[str, Any] | None = None,
) -> bytes:
    """Bitstream of a compressed network.

    Parameters
    ----------
    tensors : as in :class:`ecqx.compression.contract.Compressed`
    model : the network whose state they are; its layers say what belongs together, its own values
        are not looked at
    vector_qp : of the step of scales, shifts and biases
    architecture : optional; what the function that builds the network took, by name; int, float,
        str or bool

    Raises
    ------
    ValueError : a value that the bitstream cannot carry, naming the tensor.
    """
    entries = layout.layout_of(model)
    # weights stand for what is zero in them
    state = folded({name: content(entry) for name, entry in tensors.items()}, model)
    arrays: list[tuple[str, codec.Levels | np.ndarray]] = []
    written, exact = [], []
    vectors: dict[str, list[np.ndarray]] = {SCALES: [], SHIFTS: []}
    step = codec.step_of(vector_qp)
    for entry in entries:
        exponents: tuple[int, ...] = ()
        if entry.kind == layout.WEIGHT:
            count, most = content(tensors[entry.name]).numel(), codec.MOST_VALUES["array"]
            if count > most:
                raise ValueError(f"{entry.name}: {count} values, expected at most {most}")
            levels, exponents = _weight(entry.name, tensors[entry.name])
            arrays.append((_array_name(len(arrays)), levels))
        elif entry.kind in (layout.NORM, layout.COUNTED_NORM, layout.VECTOR):
            for vector, name in _parts(entry):
                values = _finite(name, state[name])
                exponents += (_exponent(values, step),)
                vectors[vector].append(_rounded(values, step, exponents[-1]))
        elif entry.kind == layout.EXACT:
            exact.append(_bytes(tensors[entry.name]))
        written.append(Entry(entry.name, entry.kind, entry.shape, entry.detail, exponents))
    for name, parts in vectors.items():
        values = np.concatenate([np.zeros(0, np.int32), *parts])
        if values.size:
            arrays.append((name, codec.Levels(values, vector_qp)))
    table = _table(written, b"".join(exact), architecture or {})
    end = np.frombuffer(table + bytes(4), np.float32)
    unsigned = codec.encode([*arrays, (TABLE, end)])[:-4]
    return unsigned + struct.pack("<I", zlib.crc32(unsigned))


def decode(bitstream: bytes) -> dict[str, Tensor]:
    """State dict carried by a bitstream, in the order of its network: float32 weights.

    Batch norms come back with mean 0 and variance 1, see
    :func:`ecqx.compression.artefact.folding.folded`; names of one shared tensor share it again.

    Raises
    ------
    ValueError : bytes that are not a complete and undamaged bitstream of this kind.
    """
    check(bitstream)
    try:
        arrays = codec.decode(bitstream)
        entries, exact, _ = _read_table(arrays[TABLE].tobytes())
        return _state(arrays, entries, exact)
    except Exception as error:
        raise ValueError(f"not a decodable bitstream ({len(bitstream)} bytes): {error}") from error


def _state(
    arrays: Mapping[str, np.ndarray], entries: list[Entry], exact: bytes
) -> dict[str, Tensor]:
    """The state dict that arrays, a layout and the exact bytes stand for."""
    state: dict[str, Tensor] = {}
    weights = 0
    places = dict.fromkeys((SCALES, SHIFTS), 0)

    def part(vector: str, entry: Entry, number: int) -> Tensor:
        """The next values of a vector, as they were."""
        n = int(np.prod(entry.shape, dtype=int))
        start = places[vector]
        places[vector] = start + n
        values = torch.from_numpy(arrays[vector][start : start + n].copy())
        return _unscaled(values, entry.exponents, number).reshape(entry.shape)

    for entry in entries:
        if entry.kind == layout.WEIGHT:
            weight = torch.from_numpy(arrays[_array_name(weights)].copy())
            state[entry.name] = _unscaled(weight, entry.exponents, 0)
            weights += 1
        elif entry.kind == layout.EXACT:
            kind, n = layout.type_of(entry.detail), layout.exact_bytes(entry)
            held = bytearray(exact[:n])
            values = torch.frombuffer(held, dtype=kind) if held else torch.zeros(0, dtype=kind)
            state[entry.name], exact = values.reshape(entry.shape), exact[n:]
        elif entry.kind == layout.SAME:
            state[entry.name] = state[entry.detail]
        else:
            for number, (vector, name) in enumerate(_parts(entry)):
                state[name] = part(vector, entry, number)
            if entry.kind != layout.VECTOR:
                _, _, mean, variance = (_of(entry, own) for own in layout.NORM_TENSORS)
                state[mean] = torch.zeros(entry.shape)
                state[variance] = torch.ones(entry.shape)
            if entry.kind == layout.COUNTED_NORM:
                state[_of(entry, layout.COUNTER)] = torch.tensor(0)
    return state


def check(bitstream: bytes) -> None:
    """``ValueError`` unless the bytes are those that :func:`encode` made, by their checksum."""
    if len(bitstream) > 4 and zlib.crc32(bitstream[:-4]) == checksum(bitstream):
        return
    problem = "damaged or no artefact at all: its checksum is off"
    with contextlib.suppress(ValueError):
        start, _ = codec.extents(bitstream)[-1] if bitstream else (0, 0)
        # size, two bytes of header, name
        if bitstream and f"{TABLE}\0".encode() not in bitstream[start + 4 : start + 8]:
            problem = (
                "a bitstream without checksum, made by another program or by version 0.1 of this "
                "library, which decodes it"
            )
    raise ValueError(f"{problem} ({len(bitstream)} bytes)")


def checksum(bitstream: bytes) -> int:
    """The checksum that a bitstream says its content has: CRC-32 of all bytes but the last four."""
    return struct.unpack("<I", bitstream[-4:])[0]


def load(model: torch.nn.Module, state: Mapping[str, Tensor]) -> torch.nn.Module:
    """Put a decoded state dict into a model, every tensor in its place.

    Raises
    ------
    ValueError : a tensor missing, left over, or of another shape.
    """
    own = model.state_dict()
    if set(own) != set(state):
        differing = ", ".join(sorted(set(own) ^ set(state)))
        raise ValueError(f"the bitstream does not fit the model: tensors {differing}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise ValueError(
                f"the bitstream does not fit the model: {name} has shape {tuple(tensor.shape)}, "
                f"the model {tuple(own[name].shape)}"
            )
    model.load_state_dict(dict(state))
    return model


def weights(bitstream: bytes) -> list[str]:
    """Names of the tensors that are arrays of their own: the quantized weights, in order."""
    entries, _, _ = _table_of(bitstream)
    return [entry.name for entry in entries if entry.kind == layout.WEIGHT]


def architecture(bitstream: bytes) -> dict[str, Any]:
    """What the function that builds the network takes for it; empty for the model's own.

    Raises
    ------
    ValueError : bytes that are not a complete and undamaged bitstream of this kind.
    """
    return _table_of(bitstream)[2]


def _table_of(bitstream: bytes) -> tuple[list[Entry], bytes, dict[str, Any]]:
    check(bitstream)
    table = codec.units(bitstream)[-1]
    return _read_table(bitstream[table.payload : table.end])


def weight_bytes(bitstream: bytes) -> dict[str, int]:
    """Bytes of the unit of each quantized weight, with its header, by name and in order.

    They depend on the weight's own codes and step alone; all but the rest of a bitstream.
    """
    names = weights(bitstream)
    # two units begin a bitstream, vectors and table end it
    extents = codec.extents(bitstream)[2 : 2 + len(names)]
    return {name: end - start for name, (start, end) in zip(names, extents, strict=True)}


def parts(bitstream: bytes) -> dict[str, int]:
    """Bytes of a bitstream by what they are for.

    Returns
    -------
    dict : weights; vectors (scales, shifts and biases); exact (buffers); names (and shapes); header
        (of the bitstream and its units, with the checksum). They add up to all bytes.
    """
    check(bitstream)
    found = dict.fromkeys(PARTS, 0)
    for unit in codec.units(bitstream):
        size = unit.end - unit.payload
        if unit.name == TABLE:
            names, exact = _lengths(bitstream[unit.payload : unit.end])
            found["names"], found["exact"] = names, exact
        elif unit.name in (SCALES, SHIFTS):
            found["vectors"] += size
        elif unit.name:
            found["weights"] += size
    found["header"] = len(bitstream) - sum(found.values())
    return found


def _array_name(number: int) -> str:
    """A, B ... Z, BA, BB ...: each letter is a byte in every artefact."""
    rest, last = divmod(number, 26)
    return (_array_name(rest) if rest else "") + chr(ord("A") + last)


def _of(entry: Entry, own: str) -> str:
    return f"{entry.name}.{own}" if entry.name else own


def _parts(entry: Entry) -> list[tuple[str, str]]:
    """Vector and name of each of its tensors that is a part of one."""
    if entry.kind == layout.VECTOR:
        return [(SHIFTS, entry.name)]
    return [(SCALES, _of(entry, "weight")), (SHIFTS, _of(entry, "bias"))]


def _weight(
    name: str, entry: Tensor | Quantized | CodecQuantized
) -> tuple[codec.Levels, tuple[int, ...]]:
    """Levels of a weight, and the power of two that they are sent larger by, if any."""
    if isinstance(entry, Quantized):
        if entry.codes.is_floating_point():
            raise ValueError(f"{name}: codes are {entry.codes.dtype}, expected integers")
        if not entry.step > 0:
            raise ValueError(f"{name}: the step is {entry.step}, expected one above 0")
        codes = entry.codes.detach().cpu()
        if codes.numel() and int(codes.abs().max()) >= 2**31:
            raise ValueError(f"{name}: integers beyond 32 bits cannot be coded")
        try:
            qp = codec.nearest_qp(entry.step)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        return codec.Levels(np.ascontiguousarray(codes.numpy().astype(np.int32)), qp), ()
    if isinstance(entry, CodecQuantized):
        values = _finite(name, entry.values).astype(np.float32)
        return codec.trellis(values, codec.qp_of_density_2(entry.qp), entry.lambda_scale), ()
    values, step = _finite(name, entry), codec.step_of(_FINE_QP)
    exponent = _exponent(values, step)
    return codec.Levels(_rounded(values, step, exponent), _FINE_QP), (exponent,)


def _exponent(values: np.ndarray, step: float) -> int:
    """By how many powers of two values are sent larger than they are."""
    size = float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
    if size == 0:
        return 0
    exponent = max(0, int(np.ceil(np.log2(_LEAST_SIZE / size))))
    most = np.log2(_LARGEST_LEVEL * step / np.abs(values).max())
    return min(exponent, int(np.floor(most)))


def _rounded(values: np.ndarray, step: float, exponent: int) -> np.ndarray:
    levels = np.rint(np.ldexp(values, exponent) / step).astype(np.int32)
    return np.ascontiguousarray(levels if levels.ndim >= 2 else levels.reshape(-1))


def _unscaled(values: Tensor, exponents: tuple[int, ...], number: int) -> Tensor:
    return torch.ldexp(values, torch.tensor(-exponents[number])) if exponents else values


def _finite(name: str, tensor: Tensor) -> np.ndarray:
    """The values of a tensor in float64."""
    values = tensor.detach().cpu().to(torch.float64)
    if not bool(values.isfinite().all()):
        raise ValueError(f"{name}: a value is not finite")
    return np.ascontiguousarray(values.numpy())


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def _table(entries: list[Entry], exact: bytes, architecture: Mapping[str, Any]) -> bytes:
    """Format, compressed layout and compressed exact bytes, in whole words of four bytes."""
    text = layout.write(entries, architecture)
    packed = bytes([FORMAT]) + _deflated(text) + (_deflated(exact) if exact else b"")
    return packed + bytes(-len(packed) % 4)


def _read_table(table: bytes) -> tuple[list[Entry], bytes, dict[str, Any]]:
    """Entries, exact bytes and architecture."""
    if table[0] != FORMAT:
        raise ValueError(f"its format is {table[0]}, expected {FORMAT}: another version made it")
    text, rest = _inflated(table[1:], _LONGEST_LAYOUT)
    entries, architecture = layout.read(text)
    expected = [layout.exact_bytes(entry) for entry in entries if entry.kind == layout.EXACT]
    exact = _inflated(rest, sum(expected))[0] if expected else b""
    return entries, exact, architecture


def _lengths(table: bytes) -> tuple[int, int]:
    """Bytes of the compressed layout and of the compressed exact bytes."""
    text, rest = _inflated(table[1:], _LONGEST_LAYOUT)
    names = len(table) - len(rest)
    entries, _ = layout.read(text)
    expected = [layout.exact_bytes(entry) for entry in entries if entry.kind == layout.EXACT]
    return names, len(rest) - len(_inflated(rest, sum(expected))[1]) if expected else 0


# Text that layouts are likely to have: what is in it is referred to. A part of the format.
_COMMON = (
    b'["module.backbone.encoder.embedding.layers.blocks.0.attention.projection.norm1.conv2.bn2"'
    b',"features.0.weight","w","features.0.bias","v","features.1","c64","classifier.weight","w",'
    b'"classifier.bias","v10","fc.weight","w","fc.bias","v1000"]'
    b'"layer4.1.conv1.weight","w","layer1.0.bn1","c512","layer1.0.downsample.0.weight","w",'
    b'"layer1.0.downsample.1","c256","1","c128","3.branch.0.weight","w","3.branch.1","c16",'
    b'"3.branch.3.weight","w","3.branch.4","c32","12.weight","w","12.bias","v10"]'
)


def _deflated(content: bytes) -> bytes:
    stream = zlib.compressobj(9, wbits=-15, zdict=_COMMON)
    return stream.compress(content) + stream.flush()


def _inflated(packed: bytes, most: int) -> tuple[bytes, bytes]:
    """What was deflated, and the bytes behind it; ValueError if it is longer than ``most``."""
    stream = zlib.decompressobj(wbits=-15, zdict=_COMMON)
    content = stream.decompress(packed, most + 1)
    if len(content) > most or not stream.eof:
        raise ValueError(f"layout or exact bytes do not end within {most} bytes")
    return content, stream.unused_data
