"""``python -m ecqx``, as a user calls it."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import ecqx
from ecqx.__main__ import main
from ecqx.tasks.task import predict

NETS = """
from torch import nn


def build(input_shape, n_classes):
    channels, height, width = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * height * width, n_classes),
    )
"""
DATA = "{kind: arrays, name: mine, path: mine.npz}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a network, its checkpoint and data; the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "usernets.py").write_text(NETS)
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 8, 8), np.float32), np.arange(60) % 3
    np.savez("mine.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    from usernets import build

    torch.manual_seed(0)
    torch.save(build((1, 8, 8), 3).state_dict(), "net.pt")
    yield tmp_path
    import sys

    sys.modules.pop("usernets", None)


def compress(*arguments, output="net.nnc", data=DATA):
    return main(["compress", output, "--network", "usernets:build", "--checkpoint", "net.pt",
                 "--data", data, "--epochs", "1", "--accuracy", "0.01", *arguments])  # fmt: skip


def test_from_a_checkpoint_to_predictions(folder, capsys):
    assert compress("--method", "ecq", "--set", "levels=7", "--set", "lam=0.1") == 0
    made = (folder / "net.nnc").read_bytes()
    assert f"net.nnc: {len(made):,} bytes" in capsys.readouterr().out
    record = json.loads((folder / "net.nnc.json").read_text())
    assert record["method"] == "ecq"
    assert record["params"].items() >= {"levels": 7, "lam": 0.1}.items()
    assert (
        main(["decode", "net.nnc", "out.pt"]) == main(["decode", "net.nnc", "out.safetensors"]) == 0
    )
    from usernets import build

    x = torch.randn(5, 1, 8, 8)
    expected = predict(ecqx.load("net.nnc", build((1, 8, 8), 3)), x)
    for state in (torch.load("out.pt", weights_only=True), load_file("out.safetensors")):
        elsewhere = build((1, 8, 8), 3)
        elsewhere.load_state_dict(state)
        assert torch.equal(predict(elsewhere, x), expected)


def test_what_a_bitstream_is_made_of(folder, capsys):
    (folder / "data.yaml").write_text(DATA)
    assert compress("--method", "uniform_ptq", "--set", "levels=3", data="data.yaml") == 0
    capsys.readouterr()
    assert main(["info", "net.nnc"]) == 0
    told = capsys.readouterr().out
    assert "method       uniform_ptq" in told and "'levels': 3" in told
    assert "0.weight" in told and "names" in told and "header" in told
    assert main(["info", "--json", "net.nnc"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bytes"] == sum(found["parts"].values()) == (folder / "net.nnc").stat().st_size
    assert [row["tensor"] for row in found["layers"]] == ["0.weight", "4.weight"]
    (folder / "net.nnc.json").unlink()
    assert main(["info", "net.nnc"]) == 0
    assert "method       no record beside the file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "qat"), "method: 'qat' is unknown, expected one of uniform_ptq"),
        (("--method", "mine.py"), "mine.py: no such baseline file"),
        (("--set", "lam"), "--set lam: expected NAME=VALUE"),
        (("--set", "lambda=1"), "lambda: no such hyper-parameter"),
        (("--set", "lam=1e-5"), "YAML reads 1e-5 as text"),
        (("--network", "usernets:bild"), "factory: cannot import usernets:bild"),
        (("--network", "resnet21"), "unknown model 'resnet21'"),
        (("--checkpoint", "nothing.pt"), "nothing.pt"),
        (("--accuracy", "0.99"), "on validation, expected about 0.99 (accuracy)"),
        (("--data", "mnist"), "unknown dataset 'mnist'"),
        (("--data", "{kind: arrays"), "cannot be read as YAML"),
        (("--data", "[1]"), "expected a mapping or the name of a data set"),
        (("--data", "{kind: arrays, name: mine, path: no.npz}"), "no.npz: no such file"),
    ],
)
def test_mistakes_are_one_line(folder, capsys, arguments, message):
    assert compress(*arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith("ecqx compress: ") and message in told and told.count("\n") == 1
    assert not (folder / "net.nnc").exists()


def test_mistakes_of_the_other_commands(folder, capsys):
    assert compress("--method", "uniform_ptq") == 0
    good = (folder / "net.nnc").read_bytes()
    (folder / "bad.nnc").write_bytes(good[:-2] + b"12")
    (folder / "bad.nnc.json").write_bytes((folder / "net.nnc.json").read_bytes())
    for arguments, message in (
        (["info", "bad.nnc"], "bad.nnc: damaged"),
        (["decode", "bad.nnc", "out.pt"], "bad.nnc: damaged"),
        (["decode", "net.nnc", "out.npz"], "out.npz: ends in '.npz', expected .pt or .safetensors"),
        (["info", "none.nnc"], "none.nnc: No such file"),
        (["decode", "net.nnc", "no/out.pt"], "no"),
        (
            ["compress", "no/net.nnc", *["--network", "a:b", "--checkpoint", "c", "--data", "d"]],
            "no: no such",
        ),
    ):
        assert main(arguments) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"ecqx {arguments[0]}: ") and message in told, told
        assert told.count("\n") == 1
    (folder / "bad.nnc").write_bytes(good)
    (folder / "bad.nnc.json").write_text(json.dumps({"sha256": "0", "method": "x", "params": {}}))
    assert main(["info", "bad.nnc"]) == 1
    assert "is the record of another artefact" in capsys.readouterr().err


def test_help_is_complete(capsys):
    for arguments in (["--help"], *([name, "--help"] for name in ("compress", "decode", "info"))):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
        told = capsys.readouterr().out
        assert "usage: ecqx" in told and "None" not in told


def test_files_of_methods_are_checked(folder, capsys):
    (folder / "mine.py").write_text('"""Nothing."""\n')
    assert main(["check", "mine.py"]) == 1
    assert "has no class Method" in capsys.readouterr().out
