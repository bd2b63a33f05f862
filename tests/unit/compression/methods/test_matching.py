"""Attribution matching against slow derivations of its own formula, and its double backward."""

import copy
import itertools
from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call

from ecqx.compression.assignment.assigners import Nearest
from ecqx.compression.contract import quantizable
from ecqx.compression.distillation import Teacher
from ecqx.compression.methods.matching import MATCHINGS, AttributionMatching, sensitivity_weighted
from ecqx.compression.training import train_quantized
from ecqx.seeding import generator

# Several labels per sample; most are not the arg-max of the networks below, one sample has none.
LABELS = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0]]).bool()


def matching_of(student, x, **options):
    options = {"gamma": 1.0, "rng": generator("t")} | options
    return AttributionMatching(student, x[:1], **options)


def networks(build):
    """A teacher in evaluation mode and a student that is still equal to it, in float64."""
    torch.manual_seed(0)
    teacher = build().double().eval()
    return teacher, copy.deepcopy(teacher)


def disturb(model):
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))


def convolutional(width=6):
    return nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, width, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * width, 3),
    )


def dense():
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(64, 7), nn.ReLU()),
        *(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3)),
    )


def unit_maps(model, layer, x, classes, matching, dropped=()):
    """Normalised map of each sample and class, from the formula, channel by channel."""
    features, head = model[: layer + 1], model[layer + 1 :]
    found = []
    for activation, targets in zip(features(x).detach().split(1), classes, strict=True):
        for target in targets:
            a = activation.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(head(a)[0, target], a)
            a, gradient = a.detach()[0], gradient[0]
            if a.ndim == 1:
                q = a**2 if matching == "ewa" else (gradient * a).clamp(min=0)
                q[list(dropped)] = 0
            else:
                q = torch.zeros(a.shape[1:], dtype=a.dtype)
                for c in set(range(len(a))) - set(dropped):
                    q += a[c] ** 2 / len(a) if matching == "ewa" else gradient[c].sum() * a[c]
                q = q.clamp(min=0).flatten()
            found.append(q / q.norm() if q.norm() > 0 else q)
    return torch.stack(found)


def by_hand(student, teacher, layer, x, classes, matching, dropped=()):
    found = unit_maps(student, layer, x, classes, matching)
    expected = unit_maps(teacher, layer, x, classes, matching, dropped)
    return float((found - expected).square().sum()) / found.numel()


def top_classes(teacher, x):
    return [[int(c)] for c in teacher(x).argmax(1)]


@pytest.mark.parametrize("matching", ["ewa", "swa"])
@pytest.mark.parametrize(
    ("build", "layers", "indices"),
    [
        (convolutional, [], [4]),
        (partial(convolutional, width=1), [], [4]),
        (convolutional, ["1"], [1]),
        (convolutional, ["4", "0", "5"], [4, 0, 5]),
        (dense, [], [4]),
        (dense, ["2", "4"], [2, 4]),
    ],
    ids=["last", "one_channel", "earlier", "three_layers", "mlp", "mlp_two_layers"],
)
def test_value_against_the_formula(build, layers, indices, matching):
    teacher, student = networks(build)
    x = torch.randn(6, 1, 8, 8).double()
    y = torch.zeros(6, dtype=torch.int64)  # it is the teacher's class that counts
    with matching_of(student, x, gamma=7.0, matching=matching, layers=layers) as matched:
        disturb(student)
        found = matched(x, y, student(x))
    classes = top_classes(teacher, x)
    expected = sum(by_hand(student, teacher, i, x, classes, matching) for i in indices)
    assert expected > 0
    assert float(found.detach()) == pytest.approx(7.0 * expected, rel=1e-9)


@pytest.mark.parametrize("build", [convolutional, dense], ids=["cnn", "mlp"])
def test_enlarged_maps_are_compared_by_their_cosine(build):
    """gamma 2 / P times what torch says of positive Grad-CAM in the resolution of the inputs."""
    teacher, student = networks(build)
    x = torch.randn(6, 1, 8, 8).double()
    with matching_of(student, x, gamma=7.0, matching="e2kd") as matched:
        disturb(student)
        found = float(matched(x, torch.zeros(6, dtype=torch.int64), student(x)).detach())
    classes = top_classes(teacher, x)
    maps = [unit_maps(network, 4, x, classes, "swa") for network in (student, teacher)]
    positions = maps[0].shape[1]
    if build is convolutional:
        maps = [
            nn.functional.interpolate(q.view(6, 1, 4, 4), (8, 8), mode="bilinear").flatten(1)
            for q in maps
        ]
    distance = (1 - nn.functional.cosine_similarity(*maps)).mean()
    assert found == pytest.approx(7.0 * 2 / positions * float(distance), rel=1e-9)


@pytest.mark.parametrize("matching", MATCHINGS)
def test_equal_force_is_that_of_49_positions_in_each_layer(matching):
    _, student = networks(convolutional)
    x, y = torch.randn(6, 1, 8, 8).double(), torch.zeros(6, dtype=torch.int64)

    def penalty(force, layer):
        torch.manual_seed(3)
        model = copy.deepcopy(student)
        options = {"matching": matching, "force": force, "layers": [layer]}
        with matching_of(model, x, **options) as matched:
            disturb(model)
            return float(matched(x, y, model(x)).detach())

    for layer, positions in (("4", 4 * 4), ("1", 8 * 8), ("5", 96)):
        expected = penalty("paper", layer) * positions / 49
        assert penalty("equal", layer) == pytest.approx(expected, rel=1e-9)


def test_between_the_steps_of_an_interval_there_is_no_penalty_and_no_second_pass():
    _, student = networks(convolutional)
    x, y = torch.randn(6, 1, 8, 8).double(), torch.zeros(6, dtype=torch.int64)
    ran = []
    with matching_of(student, x, interval=3) as matched:
        matched.teacher.network.register_forward_hook(lambda m, args, out: ran.append(m))
        disturb(student)
        values = [float(matched(x, y, student(x)).detach()) for _ in range(7)]
        assert not matched._student_maps
    assert [value > 0 for value in values] == [n % 3 == 0 for n in range(7)]
    assert len(ran) == 3


def test_the_teacher_may_be_a_network_of_another_width():
    """Positions are what is compared; channels are summed over."""
    torch.manual_seed(0)
    teacher, student = convolutional(6).double().eval(), convolutional(4).double()
    x, y = torch.randn(6, 1, 8, 8).double(), torch.zeros(6, dtype=torch.int64)
    for matching in ("ewa", "swa"):
        with matching_of(student, x, matching=matching, teacher=Teacher(teacher)) as matched:
            found = float(matched(x, y, student(x)).detach())
        expected = by_hand(student, teacher, 4, x, top_classes(teacher, x), matching)
        assert found == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="the maps of '5' have 64 positions, those of the teacher"):
        matching_of(student, x, layers=["5"], teacher=Teacher(teacher))


@pytest.mark.parametrize("build", [convolutional, dense], ids=["cnn", "mlp"])
def test_several_labels_give_a_map_each(build):
    """One arg-max class would be wrong here, and so would a map for the sample without labels."""
    teacher, student = networks(build)
    x = torch.randn(6, 1, 8, 8).double()
    classes = [row.nonzero().flatten().tolist() for row in LABELS]
    with matching_of(student, x) as matched:
        disturb(student)
        found = float(matched(x, LABELS, student(x)).detach())
        single = float(matched(x, torch.zeros(6, dtype=torch.int64), student(x)).detach())
    expected = by_hand(student, teacher, 4, x, classes, "swa")
    assert found == pytest.approx(expected, rel=1e-9)
    assert found != pytest.approx(single, rel=1e-3)


def test_one_label_at_the_top_is_the_single_label_case():
    teacher, student = networks(convolutional)
    x = torch.randn(6, 1, 8, 8).double()
    top = teacher(x).argmax(1)
    with matching_of(student, x) as matched:
        disturb(student)
        labels = nn.functional.one_hot(top, 3).bool()
        several = matched(x, labels, student(x)).detach()
        assert torch.equal(matched(x, top, student(x)).detach(), several)


@pytest.mark.parametrize("matching", MATCHINGS)
def test_samples_without_labels_contribute_nothing(matching):
    teacher, _ = networks(convolutional)
    x = torch.randn(6, 1, 8, 8).double()

    def penalty(inputs, labels):
        student = copy.deepcopy(teacher)
        with matching_of(student, x, matching=matching) as matched:
            torch.manual_seed(5)
            disturb(student)
            return matched(inputs, labels, student(inputs)).detach()

    labelled = LABELS.any(1)
    with_it, without_it = penalty(x, LABELS), penalty(x[labelled], LABELS[labelled])
    assert float(with_it) == pytest.approx(float(without_it), rel=1e-12)
    assert float(with_it) > 0
    assert float(penalty(x, torch.zeros_like(LABELS))) == 0


def test_labels_of_another_form_are_refused(small_cnn):
    x = torch.zeros(4, 1, 8, 8)
    with matching_of(small_cnn, x) as matched:
        for y in (torch.zeros(4, 3), torch.zeros(4, 2, dtype=torch.bool)):
            with pytest.raises(ValueError, match=r"y is torch\.\w+ of shape .* bool \(4, 3\)"):
                matched(x, y, small_cnn(x))


@pytest.mark.parametrize("matching", ["ewa", "swa"])
def test_identical_networks_have_no_penalty(small_cnn, matching):
    small_cnn.eval()
    x, y = torch.randn(4, 1, 8, 8), torch.arange(4) % 3
    with matching_of(small_cnn, x, gamma=100.0, matching=matching) as matched:
        assert float(matched(x, y, small_cnn(x)).detach()) == pytest.approx(0, abs=1e-9)


def two_layers():
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Conv2d(3, 3, 2), nn.Softplus()),
        *(nn.Flatten(), nn.Linear(12, 3)),
    )


def batch_norm():
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh()),
        *(nn.Conv2d(3, 2, 2), nn.BatchNorm2d(2), nn.Softplus()),
        *(nn.Flatten(), nn.Linear(8, 3)),
    )


def smooth_mlp():
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(25, 4), nn.Tanh()),
        *(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)),
    )


@pytest.mark.parametrize("several_labels", [False, True], ids=["top1", "labels"])
@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize(
    ("build", "layers"),
    [(two_layers, ["3", "1"]), (batch_norm, ["0"]), (smooth_mlp, ["2", "4"])],
    ids=["two_layers", "in_front_of_batch_norm", "mlp"],
)
def test_gradient_against_finite_differences(build, layers, matching, several_labels):
    """Of the whole penalty with respect to all weights.

    Sensitivities are differentiated too, through the statistics of a batch where there are some.
    """
    _, trained = networks(build)
    trained.train()
    x = torch.randn(6, 1, 5, 5).double()
    y = LABELS if several_labels else torch.zeros(6, dtype=torch.int64)
    start = {k: v.detach() + 0.3 * torch.randn_like(v) for k, v in trained.named_parameters()}
    names = list(start)

    def penalty(*values):
        # all anew, so that each evaluation has the same running statistics and dropped channels
        student = copy.deepcopy(trained)
        with matching_of(student, x, gamma=10.0, matching=matching, layers=layers) as matched:
            logits = functional_call(student, dict(zip(names, values, strict=True)), (x,))
            return matched(x, y, logits)

    values = [start[name].requires_grad_() for name in names]
    assert torch.autograd.gradcheck(penalty, values, eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("build", "channels", "number"),
    [
        (partial(convolutional, width=7), 7, 2),
        (partial(convolutional, width=3), 3, 1),
        (dense, 5, 2),
    ],
    ids=["seven", "three", "mlp"],
)
def test_stochastic_matching_drops_teacher_channels_anew_at_each_step(build, channels, number):
    """The value is that of some set of the right number of teacher channels, found by trial."""
    teacher, student = networks(build)
    x, y = torch.randn(6, 1, 8, 8).double(), torch.zeros(6, dtype=torch.int64)
    with matching_of(student, x, matching="sswa", dropped=0.3) as matched:
        disturb(student)
        found = [float(matched(x, y, student(x)).detach()) for _ in range(12)]
    classes = top_classes(teacher, x)
    possible = {
        dropped: by_hand(student, teacher, 4, x, classes, "swa", dropped)
        for dropped in itertools.combinations(range(channels), number)
    }
    drawn = []
    for value in found:
        fitting = [k for k, v in possible.items() if v == pytest.approx(value, rel=1e-9)]
        assert fitting, "no set of that size gives the value"
        drawn.append(fitting[0])
    assert len(set(drawn)) > 1
    plain = by_hand(student, teacher, 4, x, classes, "swa")
    assert any(value != pytest.approx(plain, rel=1e-9) for value in found)


def test_dropped_channels_come_from_the_seed_of_rng_alone():
    """And rng itself is not drawn from, so that all matchings see the same minibatches."""
    _, student = networks(partial(convolutional, width=9))
    x, y = torch.randn(6, 1, 8, 8).double(), torch.zeros(6, dtype=torch.int64)

    def values(seed, advanced):
        rng = generator("t", seed)
        torch.rand(advanced, generator=rng)
        state = rng.get_state()
        model = copy.deepcopy(student)
        with matching_of(model, x, matching="sswa", rng=rng) as matched:
            torch.manual_seed(11)
            disturb(model)
            torch.manual_seed(advanced)
            found = [float(matched(x, y, model(x)).detach()) for _ in range(5)]
        assert torch.equal(rng.get_state(), state)
        return found

    assert values(0, 1) == values(0, 2)
    assert values(0, 1) != values(1, 1)


def test_channels_are_dropped_per_layer():
    """Layers of different width: each has its own share, whatever its number of channels."""
    _, student = networks(partial(convolutional, width=10))
    x = torch.randn(2, 1, 8, 8).double()
    matched = matching_of(student, x, matching="sswa", layers=["1", "4", "5"], dropped=0.4)
    for layer, channels, expected in (("1", 5, 2), ("4", 10, 4), ("5", 160, 64)):
        shape = (2, channels, 4, 4) if layer != "5" else (2, channels)
        kept = matched._dropout[layer](torch.ones(shape))
        zero = (kept == 0).flatten(2).all(2) if kept.ndim == 4 else kept == 0
        assert zero.sum(1).tolist() == [expected, expected]
        assert set(kept.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(("width", "dropped"), [(1, 0.3), (4, 0.0), (4, 1.0), (4, 0.1)])
def test_stochastic_matching_that_would_drop_nothing_or_all_is_refused(width, dropped):
    _, student = networks(partial(convolutional, width=width))
    x = torch.zeros(1, 1, 8, 8).double()
    with pytest.raises(ValueError, match=rf"dropped: {dropped} of the {width} channels .*'4'"):
        matching_of(student, x, matching="sswa", dropped=dropped)


def test_there_is_no_stochastic_matching_of_equal_weights(small_cnn):
    with pytest.raises(ValueError, match="matching: 'sewa' is unknown, expected one of ewa, swa"):
        matching_of(small_cnn, torch.zeros(1, 1, 8, 8), matching="sewa")


@pytest.mark.parametrize("matching", ["ewa", "swa"])
def test_batch_norm_of_the_teacher_is_in_evaluation_that_of_the_student_in_training(matching):
    def build():
        return nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), *(nn.Flatten(), nn.Linear(144, 3))
        )

    teacher, student = networks(build)
    with torch.no_grad():
        for bn in (teacher[1], student[1]):
            bn.running_mean += 0.3
            bn.running_var *= 1.7
    student.train()
    x, y = torch.randn(6, 1, 8, 8).double(), torch.zeros(6, dtype=torch.int64)
    with matching_of(student, x, matching=matching) as matched:
        disturb(student)
        before = copy.deepcopy(teacher.state_dict())
        found = float(matched(x, y, student(x)).detach())
        after = matched.teacher.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert student[1].num_batches_tracked == 1
    assert student.training
    expected = by_hand(student, teacher, 2, x, top_classes(teacher, x), matching)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("y", [torch.zeros(6, dtype=torch.int64), LABELS], ids=["top1", "labels"])
@pytest.mark.parametrize("matching", MATCHINGS)
def test_the_teacher_runs_once_and_its_graph_begins_at_the_map(matching, y):
    _, student = networks(convolutional)
    x = torch.randn(6, 1, 8, 8).double()
    ran = []
    with matching_of(student, x, matching=matching, layers=["2", "4"]) as matched:
        for name, module in matched.teacher.network.named_children():
            module.register_forward_hook(
                lambda m, args, out, name=name: ran.append((name, out.requires_grad))
            )
        matched(x, y, student(x)).backward()
    names, in_graph = zip(*ran, strict=True)
    assert list(names) == list("0123456")
    assert list(in_graph) == [matching != "ewa" and int(name) >= 2 for name in names]
    assert all(p.grad is None for p in matched.teacher.network.parameters())


def test_hooks_are_gone_afterwards_also_after_an_error(small_cnn):
    x = torch.zeros(1, 1, 8, 8)
    with pytest.raises(RuntimeError, match="stop"), matching_of(small_cnn, x) as matched:
        assert small_cnn[4]._forward_hooks
        small_cnn(x)
        raise RuntimeError("stop")
    with pytest.raises(ValueError, match="layers: 'nowhere'"):
        matching_of(small_cnn, x, layers=["nowhere"])
    for network in (small_cnn, matched.teacher.network):
        assert all(not m._forward_hooks for m in network.modules())
    assert not matched._student_maps


@pytest.mark.parametrize("matching", MATCHINGS)
def test_matching_keeps_maps_closer(small_cnn, small_task, matching):
    """Less of its own penalty than without matching, in the network that is validated."""
    results = {}
    for gamma in (1e-12, 100.0):
        model = copy.deepcopy(small_cnn)
        with matching_of(model, small_task.train.x, gamma=gamma, matching=matching) as penalty:
            train_quantized(model, small_task, Nearest(quantizable(model), levels=8), penalty)
            model.eval()
            x, y = small_task.validation.x, small_task.validation.y
            values = [float(penalty(x, y, model(x)).detach()) / gamma for _ in range(8)]
            results[gamma] = sum(values) / len(values)
    assert results[100.0] < results[1e-12]


def test_dead_maps_give_finite_gradients():
    feature = torch.zeros(2, 3, 4, 4, requires_grad=True)
    maps = sensitivity_weighted(feature, torch.zeros(2, 3, 4, 4))
    unit = torch.nn.functional.normalize(maps, dim=1, eps=1e-12)
    (gradient,) = torch.autograd.grad(unit.sum(), feature)
    assert bool(gradient.isfinite().all())
