"""Quantization-aware training, and the known defects of earlier code that it must not repeat."""

import copy
import dataclasses
import math

import pytest
import torch

from ecqx.compression.assignment.assigners import EntropyConstrained, Nearest, RelevanceConstrained
from ecqx.compression.assignment.by_relevance import Window
from ecqx.compression.assignment.relevance_sources import SOURCES, relevance_source
from ecqx.compression.contract import Diverged, Quantized, quantizable
from ecqx.compression.training import quantize_once, train_quantized, zero_share
from ecqx.seeding import generator
from ecqx.tasks.task import Budget, predict


def relevance_constrained(model, bits=4, lam=0.1, relevance="lrp", of="quantized", **options):
    source = relevance_source(
        relevance,
        relevance_of=of,
        composite="epsilon_plus_flat",
        batch_norm="merge",
        start="output",
        rng=generator("t"),
    )
    options = {"window": Window("below", 0.1), "rho": 2.0, "momentum": 0.1, "interval": 1} | options
    return RelevanceConstrained(quantizable(model), source, levels=2**bits, lam=lam, **options)


class Recording(Nearest):
    """Nearest level, keeping every shadow weight it was asked about."""

    def __init__(self, weights, bits):
        super().__init__(weights, levels=2**bits)
        self.seen = []

    def codes(self, shadows):
        self.seen += [(name, w.clone(), w.data_ptr()) for name, w in shadows.items()]
        return super().codes(shadows)


def test_training_learns_and_stays_on_the_grid(small_cnn, small_task):
    task = dataclasses.replace(small_task, budget=Budget(8, 1e-2, 32))
    assigner = Nearest(quantizable(small_cnn), levels=16)
    result = train_quantized(small_cnn, task, assigner)
    assert result.history[-1]["train_loss"] < 0.7 * result.history[0]["train_loss"]
    for name in quantizable(small_cnn):
        entry = result.tensors[name]
        grid = assigner.grids[name]
        assert isinstance(entry, Quantized)
        assert grid.low <= int(entry.codes.min()) <= int(entry.codes.max()) <= grid.high


def test_checkpoint_is_the_best_on_validation_and_of_that_epoch(small_cnn, small_task):
    """Checkpoint and history must come from the same epoch, chosen on validation alone."""
    result = train_quantized(small_cnn, small_task, Nearest(quantizable(small_cnn), levels=4))
    scores = [row["validation_score"] for row in result.history]
    losses = [row["validation_loss"] for row in result.history]
    best = max(range(len(scores)), key=lambda i: (scores[i], -losses[i]))
    assert result.epoch == best + 1
    state = {
        name: entry.dequantize() if isinstance(entry, Quantized) else entry
        for name, entry in result.tensors.items()
    }
    small_cnn.load_state_dict(state)
    logits = predict(small_cnn, small_task.validation.x)
    assert small_task.score(logits, small_task.validation.y) == scores[best]
    codes = [e.codes for e in result.tensors.values() if isinstance(e, Quantized)]
    assert zero_share(codes) == pytest.approx(result.history[best]["sparsity"])


class InForceFrom(Nearest):
    """As nearest, with a constraint that is in force from an epoch on."""

    def __init__(self, weights, bits, first):
        super().__init__(weights, levels=2**bits)
        self.first = first

    def in_force(self, epoch, epochs):
        assert epochs == 4
        return epoch >= self.first


@pytest.mark.parametrize(("first", "chosen"), [(1, 1), (2, 3), (4, 4), (9, 4)])
def test_only_an_epoch_in_which_the_constraint_is_in_force_is_chosen(
    small_mlp, small_task, first, chosen
):
    scores = iter([0.9, 0.5, 0.75, 0.25])
    task = dataclasses.replace(
        small_task, budget=Budget(4, 1e-3, 64), score=lambda logits, y: next(scores)
    )
    result = train_quantized(small_mlp, task, InForceFrom(quantizable(small_mlp), 4, first))
    assert result.epoch == chosen and len(result.history) == 4
    codes = [e.codes for e in result.tensors.values() if isinstance(e, Quantized)]
    assert zero_share(codes) == pytest.approx(result.history[chosen - 1]["sparsity"])


def test_the_history_has_the_entropy_of_each_epoch(small_cnn, small_task):
    result = train_quantized(small_cnn, small_task, Nearest(quantizable(small_cnn), levels=8))
    weights = [e.codes for e in result.tensors.values() if isinstance(e, Quantized)]
    expected = 0.0
    for codes in weights:
        shares = torch.bincount(codes.flatten() + 8).double() / codes.numel()
        bits = -float(torch.special.xlogy(shares, shares).sum()) / math.log(2)
        expected += bits * codes.numel() / 8
    assert result.history[result.epoch - 1]["entropy_bytes"] == pytest.approx(expected)


def test_gradients_reach_negative_clusters_with_their_own_sign(small_mlp, small_task):
    """Scaling by the signed centroid would make weights of negative clusters ascend."""
    task = dataclasses.replace(small_task, budget=Budget(1, 2e-3, 128))
    model = copy.deepcopy(small_mlp)
    assigner = Recording(quantizable(model), 4)
    quantized = copy.deepcopy(small_mlp)
    for name, weight in quantizable(quantized).items():
        weight.data = assigner.grids[name].nearest(weight) * assigner.grids[name].step
    x, y = next(task.batches(1))
    task.loss(quantized(x), y).backward()
    train_quantized(model, task, assigner)
    n = len(quantizable(model))
    before, after = assigner.seen[:n], assigner.seen[n : 2 * n]
    for (name, old, _), (_, new, _) in zip(before, after, strict=True):
        gradient = quantizable(quantized)[name].grad
        moved = gradient.abs() > 1e-6
        # Adam's first step is the learning rate against the sign of the gradient.
        assert torch.equal((new - old)[moved].sign(), -gradient[moved].sign()), name
        negative = moved & (assigner.grids[name].nearest(old) < 0)
        assert negative.any()


def test_shadow_weights_do_not_alias_the_quantized_ones(small_mlp, small_task):
    assigner = Recording(quantizable(small_mlp), 2)
    pointers = {name: weight.data_ptr() for name, weight in quantizable(small_mlp).items()}
    train_quantized(small_mlp, small_task, assigner)
    assert all(pointer != pointers[name] for name, _, pointer in assigner.seen)
    last = {name: weight for name, weight, _ in assigner.seen}
    off_grid = [
        (last[name] / grid.step - (last[name] / grid.step).round()).abs().max()
        for name, grid in assigner.grids.items()
    ]
    assert min(off_grid) > 0.01  # the shadows moved in full precision, off the levels


def test_nearest_rounds_instead_of_truncating(small_mlp):
    assigner = Nearest(quantizable(small_mlp), levels=8)
    for name, grid in assigner.grids.items():
        weight = torch.tensor([0.6, -0.6, 0.4, -0.4]) * grid.step
        assert assigner.codes({name: weight})[name].tolist() == [1, -1, 0, 0]


def test_no_test_data_can_be_reached(small_task):
    """Early stopping on the test set is impossible: a task does not have one."""
    assert not [f.name for f in dataclasses.fields(small_task) if "test" in f.name]


def test_zero_constraint_is_uniform_where_every_level_is_in_use(small_task):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 200, bias=False))
    ecq = quantize_once(model, EntropyConstrained(quantizable(model), levels=8, lam=0.0))
    uniform = quantize_once(model, Nearest(quantizable(model), levels=8))
    same = ecq.tensors["1.weight"].codes == uniform.tensors["1.weight"].codes
    assert same.double().mean() > 0.9999


def test_sparsity_grows_with_the_constraint(small_cnn):
    weights = quantizable(small_cnn)
    shares = []
    for lam in (0.0, 0.05, 0.3, 1.0):
        result = quantize_once(small_cnn, EntropyConstrained(weights, levels=16, lam=lam))
        shares.append(zero_share(result.tensors[n].codes for n in weights))
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.3


def test_relevance_changes_the_assignment_inside_the_window(small_cnn, small_task):
    assigner = relevance_constrained(small_cnn, lam=0.3)
    weights = {name: w.detach() for name, w in quantizable(small_cnn).items()}
    ecq = assigner.codes(weights)
    assigner.observe(small_cnn, {}, small_task.train.x[:32], small_task.train.y[:32])
    ecqx = assigner.codes(weights)
    assert any(not torch.equal(ecq[n], ecqx[n]) for n in ecq)
    for name in ecq:
        s = float((ecq[name] == 0).double().mean())
        assert s - 0.1 - 1e-9 <= float((ecqx[name] == 0).double().mean()) <= s + 1e-9


def test_relevance_momentum_and_interval(small_cnn, small_task):
    from ecqx.attribution.weight_relevance import weight_relevance

    x, y = small_task.train.x, small_task.train.y
    assigner = relevance_constrained(small_cnn, momentum=0.25, interval=2)
    batches = [(x[i : i + 16], y[i : i + 16]) for i in (0, 16, 32)]
    for batch in batches:
        assigner.observe(small_cnn, {}, *batch)
    first, third = (weight_relevance(small_cnn, *batches[i])["0.weight"] for i in (0, 2))
    expected = 0.75 * third + 0.25 * first
    assert torch.allclose(assigner.relevance["0.weight"], expected, atol=1e-7)


@pytest.mark.parametrize("kind", ["nearest", "ecq", "ecqx"])
def test_divergence_is_reported(kind, small_cnn, small_task):
    weights = quantizable(small_cnn)
    assigner = {
        "nearest": lambda: Nearest(weights, levels=16),
        "ecq": lambda: EntropyConstrained(weights, levels=16, lam=0.1),
        "ecqx": lambda: relevance_constrained(small_cnn),
    }[kind]()
    task = dataclasses.replace(small_task, loss=lambda logits, y: logits.sum() * float("nan"))
    with pytest.raises(Diverged, match="training loss became nan in epoch 1"):
        train_quantized(small_cnn, task, assigner)


def test_training_uses_the_learning_rate_schedule(small_cnn, small_task):
    """Cosine to zero: the last step moves nothing."""
    assigner = Recording(quantizable(small_cnn), 4)
    train_quantized(small_cnn, small_task, assigner)
    shadows = [w for name, w, _ in assigner.seen if name == "0.weight"]
    moves = [float((b - a).abs().max()) for a, b in zip(shadows, shadows[1:], strict=False)]
    assert len(moves) == small_task.budget.epochs * small_task.steps_per_epoch
    assert moves[-1] < 0.1 * max(moves)


def test_relevance_of_shadow_weights(small_cnn, small_task):
    """Zeroed weights have no relevance of their own, their shadows have."""
    batch = (small_task.train.x[:32], small_task.train.y[:32])
    shadows = {name: w.detach().clone() for name, w in quantizable(small_cnn).items()}
    with torch.no_grad():
        small_cnn[3].weight[:4] = 0
    before = small_cnn[3].weight.data_ptr(), small_cnn[3].weight.clone()
    zeroed = {}
    for kind in ("quantized", "shadow"):
        assigner = relevance_constrained(small_cnn, of=kind)
        assigner.observe(small_cnn, shadows, *batch)
        zeroed[kind] = assigner.relevance["3.weight"][:4].abs().sum()
    assert zeroed["quantized"] == 0 < zeroed["shadow"]
    assert small_cnn[3].weight.data_ptr() == before[0]
    assert torch.equal(small_cnn[3].weight, before[1])


def observed(model, task, relevance, of="shadow"):
    """Relevance of the first batch, and the gradients and weights it was taken from."""
    x, y = task.train.x[:32], task.train.y[:32]
    model.eval().zero_grad()  # batch statistics would drift from call to call
    task.loss(model(x), y).backward()
    shadows = {name: w.detach() + 0.01 for name, w in quantizable(model).items()}
    assigner = relevance_constrained(model, relevance=relevance, of=of)
    assigner.observe(model, shadows, x, y)
    return assigner.relevance, shadows


@pytest.mark.parametrize("of", ["quantized", "shadow"])
@pytest.mark.parametrize(
    ("relevance", "formula"),
    [
        ("magnitude", lambda w, g: w.abs()),
        ("gradient", lambda w, g: (w * g).abs()),
        ("fisher", lambda w, g: w**2 * g**2),
    ],
)
def test_controls_follow_their_formulas(relevance, formula, of, small_cnn, small_task):
    found, shadows = observed(small_cnn, small_task, relevance, of)
    for name, weight in quantizable(small_cnn).items():
        value = shadows[name] if of == "shadow" else weight.detach()
        assert torch.allclose(found[name], formula(value, weight.grad))
        assert found[name].std() > 0


def test_shuffled_relevance_keeps_the_values_and_loses_the_places(small_cnn, small_task):
    straight, _ = observed(small_cnn, small_task, "lrp")
    shuffled, _ = observed(small_cnn, small_task, "shuffled")
    again, _ = observed(small_cnn, small_task, "shuffled")
    for name, value in straight.items():
        assert torch.equal(value.flatten().sort().values, shuffled[name].flatten().sort().values)
        assert not torch.equal(value, shuffled[name])
        assert torch.equal(shuffled[name], again[name])


@pytest.mark.parametrize("of", ["quantized", "shadow"])
def test_constant_relevance_is_ecq_bit_for_bit(of, small_cnn, small_task):
    results = []
    for kind in ("ecq", "constant"):
        model = copy.deepcopy(small_cnn)
        assigner = (
            EntropyConstrained(quantizable(model), levels=16, lam=0.2)
            if kind == "ecq"
            else relevance_constrained(model, lam=0.2, relevance="constant", of=of)
        )
        results.append(train_quantized(model, small_task, assigner))
    assert results[0].epoch == results[1].epoch
    for name, entry in results[0].tensors.items():
        other = results[1].tensors[name]
        if isinstance(entry, Quantized):
            assert entry.step == other.step
            assert torch.equal(entry.codes, other.codes)
        else:
            assert torch.equal(entry, other)


def test_every_source_trains(small_cnn, small_task):
    for relevance in SOURCES:
        model = copy.deepcopy(small_cnn)
        assigner = relevance_constrained(model, lam=0.2, relevance=relevance, of="shadow")
        result = train_quantized(model, small_task, assigner)
        assert len(result.history) == small_task.budget.epochs


def test_an_unknown_source_is_named(small_cnn):
    with pytest.raises(ValueError, match="relevance: 'taylor' is unknown"):
        relevance_constrained(small_cnn, relevance="taylor")


def test_one_step_that_overflows_does_not_switch_relevance_off():
    weight = torch.randn(400, generator=torch.Generator().manual_seed(0)).view(20, 20)
    measured = [torch.rand(20, 20), torch.full((20, 20), torch.inf), torch.rand(20, 20)]
    assigner = RelevanceConstrained(
        {"w": weight}, lambda *step: {"w": measured.pop(0)}, levels=16, lam=0.1,
        window=Window("below", 0.1), rho=2.0, momentum=0.1, interval=1,
    )  # fmt: skip
    ranked = []
    for _ in range(3):
        assigner.observe(None, {}, None, None)
        ranked.append(assigner._rankings["w"] is not None)
    assert ranked == [True, False, True]


def test_a_score_that_is_no_number_is_never_the_best(small_task, small_mlp):
    scores = iter([float("nan"), 0.5, 0.25])
    task = dataclasses.replace(
        small_task, budget=Budget(3, 1e-3, 64), score=lambda logits, y: next(scores)
    )
    assigner = Nearest(quantizable(small_mlp), levels=16)
    assert train_quantized(small_mlp, task, assigner).epoch == 2


def test_a_weight_that_is_used_twice_is_stored_as_codes_both_times():
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8))
    model[2].weight = model[0].weight
    compressed = quantize_once(model, Nearest(quantizable(model), levels=16))
    first, second = (compressed.tensors[name] for name in ("0.weight", "2.weight"))
    assert isinstance(first, Quantized) and torch.equal(first.codes, second.codes)
