import subprocess
import sys

import pytest
import torch
from torch import nn

from ecqx.tasks import models
from ecqx.tasks.own_model import OwnModel, load_checkpoint, read_checkpoint

FILE = """
import torch
from torch import nn

def build(input_shape, n_classes):
    c, h, w = input_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, 5), nn.ReLU(), nn.Linear(5, n_classes))

def wrong(input_shape, n_classes):
    return "a network"

def one(input_shape):
    return nn.Linear(1, 1)

def raises(input_shape, n_classes):
    raise RuntimeError("two\\n lines")

def wide(input_shape, n_classes):
    return build(input_shape, 1000)

def spatial(input_shape, n_classes):
    return nn.Conv2d(input_shape[0], n_classes, 1)

def other_input(input_shape, n_classes):
    return build((3, 9, 9), n_classes)

def half(input_shape, n_classes):
    return build(input_shape, n_classes).half()

class Several(nn.Module):
    def forward(self, x):
        return x.flatten(1), None

def several(input_shape, n_classes):
    return Several()

def script(input_shape, n_classes):
    return torch.jit.script(build(input_shape, n_classes))

class WithAuxiliaryOutput(nn.Linear):
    def forward(self, x):
        logits = super().forward(x.flatten(1))
        return (logits, logits) if self.training else logits

def auxiliary(input_shape, n_classes):
    return WithAuxiliaryOutput(16, n_classes)

class Detached(nn.Linear):
    def forward(self, x):
        return super().forward(x.flatten(1)).detach()

def detached(input_shape, n_classes):
    return Detached(16, n_classes)

class Wider(nn.Linear):
    def forward(self, x):
        logits = super().forward(x.flatten(1))
        return logits.repeat(1, 2) if self.training else logits

def wider(input_shape, n_classes):
    return Wider(16, n_classes)

class Class(nn.Linear):
    def forward(self, x):
        return super().forward(x.flatten(1)).argmax(dim=1)

def decided(input_shape, n_classes):
    return Class(16, n_classes)

class Stateful(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.norm, self.linear = nn.BatchNorm2d(1), nn.Linear(16, n_classes)
        self.dropped = nn.Dropout()
        self.linear.eval()

    def forward(self, x):
        x = self.linear(self.dropped(self.norm(x)).flatten(1))
        return x + 0 * torch.rand(x.shape)

def stateful(input_shape, n_classes):
    return Stateful(n_classes)

number = 3
"""


@pytest.fixture
def net(tmp_path, monkeypatch):
    """A package of the user's, importable inside the test."""
    folder = tmp_path / "userpackage"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise_if_imported = None\n")
    (folder / "inner/net.py").write_text(FILE)
    (folder / "broken.py").write_text("import nosuchpackage\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [n for n in sys.modules if n.startswith("userpackage")]:
        del sys.modules[name]


FACTORY = "userpackage.inner.net:build"
PICKLED = "holds pickled objects or is damaged, expected torch.save(model.state_dict(), ...)"


def test_the_factory_builds_and_the_registry_knows_it(net):
    own = OwnModel("mine", FACTORY)
    models.register(own.name, own)
    model = models.get("mine").build((1, 4, 4), 3)
    assert model(torch.zeros(2, 1, 4, 4)).shape == (2, 3)
    assert "mine" not in models.names()
    with pytest.raises(ValueError, match="model 'vgg16' is a file"):
        models.register("vgg16", own)


def test_the_file_is_found_without_importing_it(net):
    assert OwnModel("mine", FACTORY).source_file() == net / "inner/net.py"
    assert "userpackage" not in sys.modules
    assert OwnModel("mine", "nosuchpackage.a:b").source_file() is None
    assert OwnModel("mine", "userpackage.nosuch:b").source_file() is None


@pytest.mark.parametrize("factory", ["", "build", "a.b", "a.b:", "a b:c", "a.b:c.d", "../a:b"])
def test_factories_are_written_with_a_colon(factory):
    with pytest.raises(ValueError, match="factory: got .* expected package.module:function"):
        OwnModel("mine", factory)


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("userpackage.inner.net:biuld", "cannot import userpackage.inner.net:biuld: Attribute"),
        ("userpackage.broken:build", "No module named 'nosuchpackage'"),
        ("userpackage.nosuch:build", "No module named 'userpackage.nosuch'"),
        ("userpackage.inner.net:number", "is not callable"),
    ],
)
def test_what_cannot_be_imported_is_said(net, factory, said):
    line = OwnModel("mine", factory).missing(None)
    assert line.startswith("factory: ") and said in line and "\n" not in line


def test_a_factory_that_returns_no_network(net):
    with pytest.raises(ValueError, match="returned a str, expected an nn.Module"):
        OwnModel("mine", "userpackage.inner.net:wrong").build((1, 4, 4), 3)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("one", "((1, 4, 4), 3) failed: TypeError: one() takes 1 positional argument but 2 were"),
        ("raises", "((1, 4, 4), 3) failed: RuntimeError: two lines"),
        ("wide", " gives logits of shape (2, 1000), expected (2, 3)"),
        ("spatial", " gives logits of shape (2, 3, 4, 4), expected (2, 3)"),
        ("other_input", " cannot take inputs of shape (2, 1, 4, 4): RuntimeError: mat1 and mat2"),
        ("half", " cannot take inputs of shape (2, 1, 4, 4): RuntimeError: "),
        ("several", " gives tuple, expected float logits of shape (2, 3)"),
        ("script", " returned a network in which the network is a script module (torch.jit), exp"),
        ("auxiliary", " gives tuple in training mode, expected float logits of shape (2, 3)"),
        ("detached", " gives logits from which no gradient leads back in training mode, expected"),
        ("wider", " gives logits of shape (2, 6) in training mode, expected (2, 3)"),
        ("decided", " gives torch.int64, expected float logits of shape (2, 3)"),
    ],
)
def test_a_factory_of_another_network_is_refused(net, function, said):
    factory = f"userpackage.inner.net:{function}"
    with torch.random.fork_rng(), pytest.raises(ValueError) as caught:
        OwnModel("mine", factory).build((1, 4, 4), 3)
    line = str(caught.value)
    assert line.startswith(f"factory: {factory}{said}") and "\n" not in line


def test_trying_a_network_leaves_no_trace(net):
    own = OwnModel("mine", "userpackage.inner.net:stateful")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = own.build((1, 4, 4), 3)
        after = torch.rand(3)
        torch.manual_seed(0)
        fresh = sys.modules["userpackage.inner.net"].stateful((1, 4, 4), 3)
        assert torch.equal(torch.rand(3), after)
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert model.training and model.norm.training and not model.linear.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_checkpoint_is_loaded(net, tmp_path, global_rng_untouched):
    with torch.random.fork_rng():
        own = OwnModel("mine", FACTORY, "net.pt")
        first, second = own.build((1, 4, 4), 3), own.build((1, 4, 4), 3)
    torch.save(first.state_dict(), tmp_path / "net.pt")
    assert own.missing(tmp_path) is None
    load_checkpoint(second, tmp_path / "net.pt")
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first(x), second(x))


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2)).state_dict(), path)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.ReLU(), nn.Linear(3, 2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError) as caught:
        load_checkpoint(model, path)
    assert str(caught.value) == (
        f"{path}: does not fit the model: has no 3.bias, 3.weight; has, unlike the model, 2.bias, "
        "2.weight; has another shape of 0.bias (2,) (expected (3,)), 0.weight (2, 4) "
        "(expected (3, 4))"
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_many_names_are_counted(tmp_path):
    torch.save({f"layer{i}": torch.zeros(1) for i in range(9)}, tmp_path / "net.pt")
    with pytest.raises(ValueError, match="layer0, layer1, layer2 and 6 more$"):
        load_checkpoint(nn.Sequential(), tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as a checkpoint"),
        (b"not a checkpoint", PICKLED),
        (nn.Linear(2, 2), PICKLED),
        ({"weight": torch.zeros(1), "by": OwnModel("mine", "a:b")}, PICKLED),
        ({"epoch": 3}, "is not a state_dict"),
        ([1, 2], "is not a state_dict"),
        ({0: torch.zeros(1)}, "is not a state_dict"),
        ({"weight": torch.zeros(2, 2).to_sparse()}, "is not a state_dict"),
        (
            {"bias": torch.zeros(2), "weight": torch.tensor([1, torch.nan])},
            "weight holds values that are not finite",
        ),
        ({"bias": torch.tensor([-torch.inf]).half()}, "bias holds values that are not finite"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named(net, tmp_path, content, said):
    path = tmp_path / "net.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    line = OwnModel("mine", FACTORY, str(path)).missing(None)
    assert line.startswith(f"{path}: {said}") and "\n" not in line


def test_integers_have_nothing_that_is_not_finite(tmp_path):
    torch.save({"num_batches_tracked": torch.tensor(3)}, tmp_path / "net.pt")
    assert read_checkpoint(tmp_path / "net.pt") == {"num_batches_tracked": torch.tensor(3)}


def test_a_missing_checkpoint_is_named(net, tmp_path):
    line = OwnModel("mine", FACTORY, "net.pt").missing(tmp_path)
    assert line == f"{tmp_path}/net.pt: no such file or folder"


def test_a_description_costs_no_torch():
    code = (
        "import sys; from ecqx.tasks.own_model import OwnModel;"
        "OwnModel('a', 'torchvision.models:resnet18').source_file();"
        "print([m for m in ('torch', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
