"""The command line: ``python -m ecqx``, or ``ecqx`` where the package is installed."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import ecqx

RECORD = "run.json"  # of a run of the workflow, beside its artefact
_EPILOG = """examples:
  ecqx compress net.nnc --network mypackage.nets:build --checkpoint net.pt \\
      --data '{kind: arrays, name: mine, path: mine.npz}' --method ecq --set levels=15 --set lam=0.1
  ecqx info net.nnc
  ecqx decode net.nnc net.pt
  ecqx check baselines/mine.py
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if all went well, 1 with a line on standard error if not."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except (ValueError, RuntimeError) as error:
        told = str(error)
    print(f"ecqx {options.name}: {told}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ecqx", description=ecqx.__doc__.partition("\n")[0], epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"ecqx {ecqx.__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(name: str, function: Callable, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(command=function)
        return added

    made = command("compress", _compress, "compress a trained network by any method")
    made.add_argument("output", type=Path, metavar="OUTPUT", help="file for the bitstream; its "
                      "record goes to the same name with .json behind it")  # fmt: skip
    made.add_argument("--network", required=True, metavar="NAME", help="function that builds "
                      "it, as package.module:function, called with the shape of an input and the "
                      "number of classes; or the name of a model of the suite")  # fmt: skip
    made.add_argument("--checkpoint", required=True, type=Path, metavar="FILE", help="its "
                      "trained state_dict, as torch.save writes it")  # fmt: skip
    made.add_argument("--accuracy", type=float, metavar="SHARE", help="what it is known to reach, "
                      "from 0 to 1; one far below it is refused, and, without this, one no better "
                      "than chance")  # fmt: skip
    made.add_argument("--data", required=True, metavar="DATA", help="a mapping as under "
                      "`dataset` in a configuration, a YAML file of one, or the name of a data set "
                      "of the suite")  # fmt: skip
    made.add_argument("--data-root", type=Path, default=Path(), metavar="FOLDER", help="where "
                      "relative paths of data are looked for (the current folder)")  # fmt: skip
    made.add_argument("--method", default="ecqx", help="name of a method, or the path of a file "
                      "with a class Method (%(default)s)")  # fmt: skip
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a "
                      "hyper-parameter of the method; may be given several times")  # fmt: skip
    made.add_argument(
        "--epochs", type=int, default=20, help="epochs of training at most (%(default)s)"
    )
    made.add_argument(
        "--learning-rate", type=float, default=1e-3, help="of the first step (%(default)s)"
    )
    made.add_argument("--batch-size", type=int, default=64, help="samples per step (%(default)s)")
    made.add_argument("--seed", type=int, default=0, help="of all randomness (%(default)s)")
    made.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (%(default)s)")

    written = command("decode", _decode, "write the weights of a bitstream to a file")
    written.add_argument("artefact", type=Path, metavar="ARTEFACT", help="the bitstream")
    written.add_argument("output", type=Path, metavar="OUTPUT", help="a .pt file, for torch.load, "
                         "or a .safetensors file")  # fmt: skip

    told = command("info", _info, "say what a bitstream is made of")
    told.add_argument("artefact", type=Path, metavar="ARTEFACT", help="the bitstream")
    told.add_argument("--json", action="store_true", help="as JSON")

    checked = command("check", _check, "check files of methods against their contract")
    checked.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a file with a class "
                         "Method")  # fmt: skip
    return parser


def _compress(options: argparse.Namespace) -> int:
    import torch

    from ecqx.compression import methods
    from ecqx.compression.architecture import network_of
    from ecqx.compression.artefact import bitstream, size
    from ecqx.compression.loading import load_method
    from ecqx.compression.run import compress_point
    from ecqx.seeding import derive_seed, generator
    from ecqx.tasks.own_model import given
    from ecqx.tasks.plain import plain
    from ecqx.tasks.task import Budget, Task, predict

    parameters = dict(map(_assignment, options.set))
    path = Path(options.method)
    of_file = path.suffix == ".py"
    method = load_method(path) if of_file else methods.get(options.method)
    if not options.output.parent.is_dir():
        raise ValueError(f"{options.output.parent}: no such folder, expected one for OUTPUT")
    name, build = _network(options.network)
    dataset = _dataset(options.data, options.data_root)
    device = torch.device(options.device)
    trained = given(
        build, dataset, options.checkpoint, generator("unused"), device, options.accuracy
    )
    names = dataset.name, name, path.stem if of_file else options.method
    budget = Budget(options.epochs, options.learning_rate, options.batch_size)
    order = derive_seed("order", *names[:2], options.seed)
    task = Task.from_dataset(dataset, name, budget, order, build).to(device)
    model = plain(trained.model).to(device)
    outcome = compress_point(method, parameters, model, task, ("compress", *names, options.seed))
    if outcome.status != "ok":
        raise RuntimeError(f"{options.method} {outcome.status}: {outcome.reason}")
    artefact = outcome.artefact
    architecture = bitstream.architecture(artefact)
    decoded = network_of(architecture, plain(model), task)
    bitstream.load(decoded, bitstream.decode(artefact))
    before, after = (
        float(task.score(predict(network, task.validation.x), task.validation.y))
        for network in (model, decoded)
    )
    record = {
        "dataset": dataset.name,
        "model": name,
        "method": names[2],
        "params": outcome.params,
        "seed": options.seed,
        "budget": vars(budget),
        "epoch": outcome.epoch,
        "architecture": architecture,
        "score_validation": after,
        "score_validation_fp32": before,
        "size_bytes": len(artefact),
        "compression_ratio": size.full_precision_bytes(model) / len(artefact),
        "sha256": hashlib.sha256(artefact).hexdigest(),
        "version": ecqx.__version__,
    }
    options.output.write_bytes(artefact)
    beside = options.output.with_name(options.output.name + ".json")
    beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    ratio = record["compression_ratio"]
    print(f"{options.output}: {len(artefact):,} bytes, {ratio:.1f} times smaller; "
          f"score on validation data {after:.4f}, full precision {before:.4f}")  # fmt: skip
    return 0


def _decode(options: argparse.Namespace) -> int:
    import torch

    state = ecqx.decode(options.artefact)
    kind = options.output.suffix
    if kind == ".pt":
        torch.save(state, options.output)
    elif kind == ".safetensors":
        from safetensors.torch import save_file

        # it has no place for tensors that share memory
        save_file({name: tensor.clone() for name, tensor in state.items()}, options.output)
    else:
        raise ValueError(f"{options.output}: ends in {kind!r}, expected .pt or .safetensors")
    print(f"{options.output}: {len(state)} tensors")
    return 0


def _info(options: argparse.Namespace) -> int:
    from ecqx.compression.artefact import bitstream, size

    content = options.artefact.read_bytes()
    state = ecqx.decode(options.artefact)
    layers = size.layer_rows({name: state[name] for name in bitstream.weights(content)})
    found = {
        "file": str(options.artefact),
        **_recorded(options.artefact, content),
        "architecture": bitstream.architecture(content),
        "bytes": len(content),
        "checksum": f"{bitstream.checksum(content):08x}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "parts": bitstream.parts(content),
        "layers": [
            {key: row[key] for key in ("tensor", "weights", "sparsity", "entropy_bits")}
            for row in layers
        ],
    }
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    for key in ("file", "method", "params", "architecture", "bytes", "checksum", "sha256"):
        print(f"{key:<12} {found[key]}")
    print()
    for name, count in found["parts"].items():
        print(f"{name:<10} {count:>12,} bytes {count / len(content):>7.1%}")
    width = max((len(row["tensor"]) for row in layers), default=6)
    print(f"\n{'layer':<{width}} {'weights':>12} {'zeros':>7} {'bits per weight':>16}")
    for row in layers:
        print(f"{row['tensor']:<{width}} {row['weights']:>12,} {row['sparsity']:>7.1%} "
              f"{row['entropy_bits']:>16.2f}")  # fmt: skip
    return 0


def _check(options: argparse.Namespace) -> int:
    from ecqx.checks import check_files

    return check_files(options.files)


def _recorded(path: Path, content: bytes) -> dict[str, Any]:
    """Method and hyper-parameters, of the record beside an artefact if it is of this one."""
    for beside in (path.with_name(path.name + ".json"), path.with_name(RECORD)):
        if not beside.is_file():
            continue
        try:
            record = json.loads(beside.read_text(encoding="utf-8"))
            if record["sha256"] == hashlib.sha256(content).hexdigest():
                return {"method": record["method"], "params": record["params"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{beside}: is no record of a run: {error!r}") from error
        raise ValueError(f"{beside}: is the record of another artefact than {path}")
    return {"method": "no record beside the file", "params": "no record beside the file"}


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text}: expected NAME=VALUE")
    return name.strip(), yaml.safe_load(value)


def _network(text: str) -> tuple[str, Callable]:
    """Name and function of a network."""
    from ecqx.tasks import models
    from ecqx.tasks.own_model import OwnModel

    if ":" not in text:
        return text, models.get(text).build
    sys.path.insert(0, "")  # a module of the folder that the command is called in
    own = OwnModel(text.rpartition(":")[0].rpartition(".")[2], text)
    return own.name, own.build


def _dataset(text: str, root: Path | None):
    """The data set that the command line names or describes, prepared."""
    from ecqx.tasks import datasets, own_data

    try:
        if text.endswith((".yaml", ".yml")):
            text = Path(text).read_text(encoding="utf-8")
        entry = yaml.safe_load(text)
    except yaml.YAMLError as error:
        cause = " ".join(str(error).split())
        raise ValueError(f"--data {text}: cannot be read as YAML: {cause}") from error
    if isinstance(entry, str):
        source, name = datasets.get(entry), entry
    elif isinstance(entry, dict):
        source = own_data.describe(entry)
        name = entry["name"]
        datasets.register(name, source)
    else:
        raise ValueError(f"--data {text}: expected a mapping or the name of a data set")
    if hasattr(source, "missing") and (missing := source.missing(root)):
        raise ValueError(missing)
    if hasattr(source, "unread") and (unread := source.unread(root)):
        print(unread, file=sys.stderr)
    return datasets.prepared(name, root)


if __name__ == "__main__":
    sys.exit(main())
