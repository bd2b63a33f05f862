"""What the artefact's coder spends its bytes on, and what rounding scales and shifts costs.

    python -m benchmarks.coder [--tasks digits ...] [--seeds 0] [--levels 3] [--epochs N]
                               [--data-root FOLDER] [--networks FOLDER]

Trains each task's full-precision network (or reads ``<dataset>_<model>_<seed>.pt`` from a folder),
quantizes it by uniform training, and prints three tables:

1. bytes by part, as written now and as version 0.1 of the library wrote the same network;
2. the same codes by other coders: packed in whole bits, zlib, the first-order entropy, DeepCABAC;
3. for a range of quantization parameters of the vectors of scales and shifts: their bytes, and on
   validation data changed predictions and the mean Pearson correlation of gradient x input with the
   maps of unrounded vectors, of full precision and of the quantized network.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from nncodec import nnc

from ecqx.compression.artefact import bitstream, codec, size
from ecqx.compression.contract import Quantized, quantizable
from ecqx.compression.methods.uniform import Uniform
from ecqx.evaluation.consistency import pearson
from ecqx.evaluation.evaluate import explain_all
from ecqx.evaluation.subset import evaluation_pairs
from ecqx.seeding import derive_seed, generator
from ecqx.tasks import datasets, models, own_data
from ecqx.tasks.plain import plain
from ecqx.tasks.pretrain import pretrain
from ecqx.tasks.task import Budget, Task, predict

ROOT = Path(__file__).parents[1]
QPS = (-75, -60, -52, -44, -40, -38, -36, -35, -34, -33, -32, -28, -24)
EXPLAINER, SAMPLES = "gradient_x_input", 200
_FINE = -75  # of version 0.1, for all that is not a weight


def networks(options: argparse.Namespace, settings: dict) -> Iterator[tuple]:
    """Name, task, full-precision network and compressed tensors of each task and seed."""
    for label in options.tasks:
        own = settings[label]
        name, model_name = own["dataset"], own["model"]
        source = datasets.get(name) if isinstance(name, str) else own_data.describe(name)
        if not isinstance(name, str):
            name = name["name"]
            datasets.register(name, source)
        dataset = source.prepare(derive_seed("prepare_data", name), options.data_root)
        for seed in options.seeds:
            stored = (options.networks or Path()) / f"{name}_{model_name}_{seed}.pt"
            if options.networks and stored.is_file():
                model = models.network(model_name, dataset.input_shape, len(dataset.classes))
                model.load_state_dict(torch.load(stored, weights_only=True))
            else:
                training = dict(own["pretraining"])
                weight_decay = training.pop("weight_decay")
                order = derive_seed("order", "pretrain", name, model_name, seed)
                task = Task.from_dataset(dataset, model_name, Budget(**training), order)
                rng = generator("pretrain", name, model_name, seed)
                model = plain(pretrain(models.get(model_name).build, task, rng, weight_decay).model)
            budget = own["budget"] | ({"epochs": options.epochs} if options.epochs else {})
            order = derive_seed("order", name, model_name, seed)
            task = Task.from_dataset(dataset, model_name, Budget(**budget), order)
            rng = generator("compress", name, model_name, "uniform", seed)
            compressed = Uniform(levels=options.levels).compress(plain(model), task, rng)
            yield f"{label}, seed {seed}", task, model, compressed.tensors


def of_version_0_1(tensors: dict) -> int:
    """Bytes of the same network as version 0.1 wrote it: each tensor an array of its own."""
    arrays, steps = {}, b""
    for name in sorted(tensors):
        entry = tensors[name]
        if isinstance(entry, Quantized):
            arrays[name] = entry.codes.numpy().astype(np.int32)
            steps += np.float32(entry.step).tobytes()
        else:
            kind = np.float32 if entry.is_floating_point() else np.int32
            arrays[name] = np.atleast_1d(entry.detach().numpy().astype(kind))
    arrays["steps"] = np.frombuffer(steps, np.uint8).astype(np.int32)
    with contextlib.redirect_stdout(io.StringIO()):
        made = nnc.compress(
            arrays, bitstream_path=None, return_bitstream=True, use_dq=False, row_skipping=True,
            nonweight_qp=_FINE,
        )  # fmt: skip
    return len(made)


def of_other_coders(tensors: dict) -> dict[str, int]:
    """Bytes of the codes of all weights by each coder."""
    codes = {n: e.codes.numpy() for n, e in tensors.items() if isinstance(e, Quantized)}
    packed = sum(
        math.ceil(c.size * max(1, math.ceil(math.log2(int(c.max()) - int(c.min()) + 1))) / 8)
        for c in codes.values()
    )
    deflated = sum(len(zlib.compress(c.astype(np.int8).tobytes(), 9)) for c in codes.values())
    entropy = size.entropy_bytes({n: torch.from_numpy(c).float() for n, c in codes.items()})
    coded = codec.encode([(str(i), codec.Levels(c, 0)) for i, c in enumerate(codes.values())])
    cabac = sum(unit.end - unit.payload for unit in codec.units(coded))
    return {"packed": packed, "zlib": deflated, "entropy": round(entropy), "DeepCABAC": cabac}


def of_rounding(
    tensors: dict, model: torch.nn.Module, task: Task
) -> Iterator[tuple[int, int, int, float]]:
    """QP, bytes of vectors, changed predictions on validation data, mean Pearson of maps."""
    own = {id(weight) for weight in quantizable(model).values()}
    whole = {
        name: tensors[name].dequantize() if isinstance(tensors[name], Quantized) else tensors[name]
        for name, tensor in model.state_dict(keep_vars=True).items()
    }
    exact = plain(model)
    exact.load_state_dict(whole)
    chosen = min(SAMPLES, len(task.validation))
    index, target = evaluation_pairs(task.validation, chosen, 0)
    logits = predict(exact, task.validation.x)
    maps = explain_all(exact, task.validation.x[index], target, [EXPLAINER])[EXPLAINER]
    for qp in QPS:
        made = bitstream.encode(tensors, model, vector_qp=codec.qp_of_density_2(qp))
        rounded = bitstream.decode(made)
        # the weights are not what is asked about
        rounded = {
            n: whole[n] if id(t) in own else rounded[n]
            for n, t in model.state_dict(keep_vars=True).items()
        }
        network = bitstream.load(plain(model), rounded)
        changed = (predict(network, task.validation.x).argmax(1) != logits.argmax(1)).sum()
        found = explain_all(network, task.validation.x[index], target, [EXPLAINER])[EXPLAINER]
        alike = pearson(found, maps)
        yield qp, bitstream.parts(made)["vectors"], int(changed), float(alike.nanmean())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    default = yaml.safe_load((ROOT / "config/default.yaml").read_text())
    real = yaml.safe_load((ROOT / "config/realdata.yaml").read_text())
    settings = default["task_settings"] | real["task_settings"]
    parser.add_argument("--tasks", nargs="+", choices=settings, default=default["tasks"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of the quantization-aware training")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--networks", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, task, model, tensors in networks(options, settings):
        made = bitstream.encode(tensors, model)
        full = size.full_precision_bytes(model)
        before = of_version_0_1(tensors)
        weights = of_other_coders(tensors)["DeepCABAC"]
        parts = bitstream.parts(made)
        rest = len(made) - parts["weights"]
        print(f"\n{name}: {len(made)} bytes, ratio {full / len(made):.1f}; version 0.1: {before}, "
              f"{full / before:.1f}")  # fmt: skip
        print(f"  by part {parts}; rest {rest} (bound {full / rest:.0f}), version 0.1: "
              f"{before - weights} (bound {full / (before - weights):.0f})")  # fmt: skip
        print(f"  codes: {of_other_coders(tensors)}")
        state = model.state_dict()
        for kind, entries in (("full precision", state), (f"{options.levels} levels", tensors)):
            print(f"  {kind}: QP, bytes of vectors, changed of {len(task.validation)}, Pearson")
            for qp, count, changed, alike in of_rounding(entries, model, task):
                print(f"    {qp:4d} {count:6d} {changed:5d} {alike:8.4f}")


if __name__ == "__main__":
    main()
