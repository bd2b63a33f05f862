import copy
import doctest

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import ecqx
from ecqx.checks import example
from ecqx.compression import api, methods
from ecqx.compression.methods.nncodec import NNCodec
from ecqx.tasks.task import predict


def test_the_example_in_the_documentation():
    failed, tried = doctest.testmod(api)
    assert (failed, tried > 5) == (0, True)


def test_a_network_of_ones_own(small_cnn, small_task):
    train = (small_task.train.x, small_task.train.y)
    validation = (small_task.validation.x, small_task.validation.y)
    before = {name: value.clone() for name, value in small_cnn.state_dict().items()}
    result = ecqx.compress(
        small_cnn, train, validation, epochs=2, learning_rate=1e-3, bits=3, relevance="magnitude"
    )
    assert all(torch.equal(before[k], v) for k, v in small_cnn.state_dict().items())
    logits = predict(result.model, small_task.validation.x)
    chosen = result.history[result.epoch - 1]["validation_score"]
    # biases and normalisation are rounded: the decoded network predicts alike
    assert small_task.score(logits, small_task.validation.y) == pytest.approx(chosen, abs=0.05)
    assert 0 < result.sparsity < 1
    again = ecqx.compress(
        small_cnn, train, validation, epochs=2, learning_rate=1e-3, bits=3, relevance="magnitude"
    )
    assert again.artefact == result.artefact
    assert repr(result) == (
        f"CompressedModel(ecqx, {len(result.artefact):,} bytes, {result.compression_ratio:.1f} "
        f"times smaller, {result.sparsity:.0%} zeros, epoch {result.epoch} of 2)"
    )


@pytest.mark.parametrize("method", [*methods.NAMES, "baselines/nncodec.py", NNCodec])
def test_any_method(method, small_cnn, small_task):
    train, validation = small_task.train, small_task.validation
    build = {"build": example()[1].build} if method == "distil" else {}
    result = ecqx.compress(small_cnn, train, validation, method=method, epochs=1, **build)
    assert result.method in (*methods.NAMES, "NNCodec") and result.params
    assert (result.epoch is None) == (result.history == [])
    assert str(result.epoch) in repr(result) if result.epoch else "epoch" not in repr(result)


def test_saved_decoded_and_loaded_elsewhere(small_cnn, small_task, tmp_path):
    x = small_task.validation.x
    result = ecqx.compress(small_cnn, small_task.train, small_task.validation, method="uniform_ptq")
    result.save(tmp_path / "small.nnc")
    untrained = copy.deepcopy(small_cnn)
    for parameter in untrained.parameters():
        torch.nn.init.zeros_(parameter)
    for given in (tmp_path / "small.nnc", str(tmp_path / "small.nnc"), result.artefact):
        assert torch.equal(predict(ecqx.load(given, untrained), x), predict(result.model, x))
        state = ecqx.decode(given)
        assert all(torch.equal(v, result.model.state_dict()[k]) for k, v in state.items())
    assert not any(p.any() for p in untrained.parameters())
    (tmp_path / "small.nnc").write_bytes(result.artefact[:-1])
    with pytest.raises(ValueError, match=r"small.nnc: damaged or no artefact"):
        ecqx.decode(tmp_path / "small.nnc")
    with pytest.raises(ValueError, match="does not fit the model"):
        ecqx.load(result.artefact, torch.nn.Linear(2, 2))


class Pairs(Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def test_data_of_all_forms_give_the_same_bytes(small_cnn, small_task):
    train, validation = ((s.x, s.y) for s in (small_task.train, small_task.validation))
    forms = [
        lambda x, y: (x, y),
        lambda x, y: [x.numpy(), y.numpy()],
        lambda x, y: (x.double().numpy(), y.numpy().astype("uint8")),
        lambda x, y: Pairs(x, y.tolist()),
        lambda x, y: TensorDataset(x, y),
        lambda x, y: DataLoader(TensorDataset(x, y), batch_size=7),
    ]
    made = {
        ecqx.compress(
            small_cnn, form(*train), form(*validation), method="uniform", epochs=1
        ).artefact
        for form in forms
    }
    assert len(made) == 1


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        ((12,), [torch.nn.Linear(12, 3)]),
        ((2, 12), [torch.nn.Conv1d(2, 4, 3), torch.nn.Flatten(), torch.nn.Linear(40, 3)]),
        ((2, 4, 6), [torch.nn.Flatten(), torch.nn.Linear(48, 3)]),
        ((1, 4, 4, 4), [torch.nn.Conv3d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(16, 3)]),
    ],
)
@pytest.mark.parametrize("method", ["uniform", "ecqx"])
def test_inputs_of_any_rank(shape, layers, method):
    x, y = torch.randn(24, *shape), torch.arange(24) % 3
    model = torch.nn.Sequential(*copy.deepcopy(layers))
    result = ecqx.compress(model, (x, y), (x, y), method=method, epochs=1)
    assert result.model(x).shape == (24, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.zeros(4, 1, 8, 8), "train: got Tensor, expected a pair of inputs and labels"),
        ((torch.zeros(4, 1, 8, 8), [0, 1, 2, 0]), "train: labels are list, expected a tensor"),
        (
            (torch.zeros(4, 1, 8, 8).byte(), torch.zeros(4)),
            "train: inputs are torch.uint8, expected",
        ),
        ((torch.zeros(4, 1, 8, 8), torch.zeros(4)), "train: y is torch.float32"),
        (
            (torch.zeros(4, 1, 8, 8), torch.zeros(3).long()),
            r"train: y is torch.int64 of shape \(3,\)",
        ),
        (
            (torch.zeros(4, 2, 8, 8), torch.zeros(4).long()),
            r"model: cannot take inputs of shape \(2, 2",
        ),
        ((torch.full((4, 1, 8, 8), torch.nan), torch.zeros(4).long()), "train: x holds values"),
        ((torch.zeros(4, 1, 8, 8), torch.full((4,), 3)), "train: classes from 3 to 3, expected 0"),
        ([(torch.zeros(1), 0)], "train: got list"),
        (DataLoader([torch.zeros(1)]), "train: got DataLoader"),
    ],
)
def test_data_of_the_wrong_form(data, message, small_cnn, small_task):
    with pytest.raises(ValueError, match=message):
        ecqx.compress(small_cnn, data, small_task.validation)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 9}, "bits: 9 is out of range"),
        ({"lambda_": 0.1}, "lambda_: no such hyper-parameter"),
        ({"epochs": 0}, "epochs is 0"),
        ({"method": "qat"}, "method: 'qat' is unknown, expected one of uniform_ptq, uniform"),
        ({"method": "none.py"}, "none.py: no such baseline file"),
        ({"method": "uniform", "lam": 0.1}, "lam: no such hyper-parameter"),
    ],
)
def test_wrong_options(options, message, small_cnn, small_task):
    data = (small_task.train.x, small_task.train.y)
    with pytest.raises(ValueError, match=message):
        ecqx.compress(small_cnn, data, data, **options)


def test_a_layer_without_an_lrp_rule_is_named(small_cnn, small_task):
    data = (small_task.train.x, small_task.train.y)
    small_cnn[2] = torch.nn.Softplus()
    small_cnn[4] = torch.nn.GroupNorm(2, 8)
    with pytest.raises(ValueError, match=r"no LRP rule for: 4 \(GroupNorm\).*gradient"):
        ecqx.compress(small_cnn, data, data, epochs=1)


class Recurrent(torch.nn.Module):
    """Layers whose outputs are tuples."""

    def __init__(self, cell):
        super().__init__()
        self.cell, self.out = cell, torch.nn.Linear(8, 3)

    def forward(self, x):
        x = x[:, 0]
        attends = isinstance(self.cell, torch.nn.MultiheadAttention)
        hidden, _ = self.cell(x, x, x) if attends else self.cell(x)
        return self.out(hidden.mean(1))


@pytest.mark.parametrize(
    "cell",
    [
        torch.nn.GRU(8, 8, batch_first=True),
        torch.nn.LSTM(8, 8, batch_first=True),
        torch.nn.MultiheadAttention(8, 2, batch_first=True, add_zero_attn=True),
    ],
)
def test_the_way_out_is_named_for_networks_without_rules(cell):
    x, y = torch.randn(24, 1, 8, 8), torch.arange(24) % 3
    model = Recurrent(cell)
    said = rf"no LRP rule for: cell \({type(cell).__name__}\); relevance: gradient needs no rules"
    with pytest.raises(ValueError, match=said):
        ecqx.compress(model, (x, y), (x, y), epochs=1)
    result = ecqx.compress(model, (x, y), (x, y), epochs=1, relevance="gradient")
    assert result.compression_ratio > 2


class Several(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x.flatten(1)), x


class WithAuxiliaryOutput(torch.nn.Linear):
    def forward(self, x):
        logits = super().forward(x.flatten(1))
        return (logits, logits) if self.training else logits


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (WithAuxiliaryOutput(64, 3), "model: gives tuple in training mode, expected float logits"),
        (Several(64, 3), r"model: gives tuple, expected float logits of shape \(2, classes\)"),
        (torch.nn.Identity(), r"model: gives logits of shape \(2, 1, 8, 8\), expected"),
        (torch.jit.script(torch.nn.Linear(8, 3)), r"model: the network is a script module"),
    ],
)
def test_networks_of_another_form_are_refused(model, said):
    x, y = torch.randn(24, 1, 8, 8), torch.arange(24) % 3
    with pytest.raises(ValueError, match=said):
        ecqx.compress(model, (x, y), (x, y), epochs=1)


@pytest.mark.parametrize("method", ["ecqx", "lsq"])
def test_frozen_networks_are_trained_like_any_other(method, small_cnn, small_task):
    train, validation = small_task.train, small_task.validation
    expected = ecqx.compress(small_cnn, train, validation, method=method, epochs=1)
    frozen = copy.deepcopy(small_cnn).requires_grad_(False)
    frozen[3].requires_grad_(True)
    result = ecqx.compress(frozen, train, validation, method=method, epochs=1)
    assert result.artefact == expected.artefact
    assert [n for n, p in frozen.named_parameters() if p.requires_grad] == ["3.weight", "3.bias"]


def test_divergence_is_an_error(small_cnn, small_task):
    data = (small_task.train.x, small_task.train.y)
    with pytest.raises(RuntimeError, match="compression diverged: the training loss became nan"):
        ecqx.compress(small_cnn, data, data, loss=lambda z, y: z.sum() * float("nan"))


def test_other_names_are_errors():
    with pytest.raises(AttributeError, match="no attribute 'decompress'"):
        ecqx.decompress  # noqa: B018
