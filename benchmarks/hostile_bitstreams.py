"""What the decoder does with bitstreams that somebody meant to harm it with.

    python -m benchmarks.hostile_bitstreams [--mutants 10000] [--seed 0]

A sound artefact is changed at random (bits flipped, bytes replaced, put in, or cut off) and given a
checksum that fits, so that the decoder looks at all of it. Each is decoded in a process whose
memory is bounded, for at most ``--seconds``. Prints one JSON line: how many were decoded, refused
(``ValueError``), raised something else, ran out of memory, took too long, or ended the process; and
the most memory that was resident. Exits with 1 unless all were decoded or refused.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import resource
import signal
import struct
import sys
import zlib

import torch

from ecqx.compression.artefact import bitstream
from ecqx.compression.contract import Quantized
from ecqx.tasks import models

MEMORY = 8 << 30  # bytes of address space; importing torch takes half of it
OUTCOMES = ("decoded", "refused", "raised", "out of memory", "too long")
_BEGUN = len(OUTCOMES)
_RECORD = struct.Struct("<IB")


def artefact() -> bytes:
    """A bitstream with everything in it: weights, batch norms, biases, buffers."""
    generator = torch.Generator().manual_seed(0)
    model = models.network("residual_cnn", (1, 8, 8), 10)
    tensors = {}
    for name, tensor in model.state_dict().items():
        tensors[name] = tensor
        if tensor.dim() >= 2:
            codes = torch.randint(-3, 4, tensor.shape, generator=generator)
            codes *= torch.rand(tensor.shape, generator=generator) < 0.4
            tensors[name] = Quantized(codes, 0.05)
    return bitstream.encode(tensors, model)


def mutant(content: bytes, seed: str) -> bytes:
    """A changed copy, the same for the same seed, whose checksum fits."""
    rng, changed = random.Random(seed), bytearray(content[:-4])
    kind = rng.randrange(4)
    if kind == 0:
        for _ in range(rng.choice((1, 1, 2, 8))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == 1:  # where the headers are dense
        changed[rng.randrange(min(len(changed), 400))] = rng.randrange(256)
    elif kind == 2:
        del changed[rng.randrange(len(changed)) :]
    else:
        place = rng.randrange(len(changed))
        changed[place:place] = rng.randbytes(rng.randrange(1, 5))
    return bytes(changed) + struct.pack("<I", zlib.crc32(changed))


def survey(mutants: int, seed: int, seconds: int) -> collections.Counter:
    """Outcome -> how many; signals that ended the process by their names."""
    content, found, at = artefact(), collections.Counter(), 0
    while at < mutants:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _decode_all(content, range(at, mutants), seed, seconds, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            told = [_RECORD.unpack(part) for part in iter(lambda: pipe.read(_RECORD.size), b"")]
        _, status = os.waitpid(child, 0)
        found.update(OUTCOMES[outcome] for _, outcome in told if outcome != _BEGUN)
        at = mutants
        if os.WIFSIGNALED(status):
            ended = signal.Signals(os.WTERMSIG(status))
            found["too long" if ended == signal.SIGALRM else ended.name] += 1
            at = told[-1][0] + 1
        elif status:
            raise RuntimeError(f"the child ended with status {status}")
    return found


def _decode_all(content: bytes, numbers: range, seed: int, seconds: int, writing: int) -> None:
    """What a child does; it does not return."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for number in numbers:
        os.write(writing, _RECORD.pack(number, _BEGUN))
        signal.alarm(seconds)
        outcome = "decoded"
        try:
            bitstream.decode(mutant(content, f"{seed}/{number}"))
        except ValueError:
            outcome = "refused"
        except MemoryError:
            outcome = "out of memory"
        except BaseException:
            outcome = "raised"
        os.write(writing, _RECORD.pack(number, OUTCOMES.index(outcome)))
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=60, help="for one of them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = survey(arguments.mutants, arguments.seed, arguments.seconds)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(json.dumps({"mutants": arguments.mutants, **found, "peak_memory_bytes": peak}))
    sys.exit(int(not set(found) <= {"decoded", "refused"}))


if __name__ == "__main__":
    main()
