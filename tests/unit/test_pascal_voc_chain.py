"""Pascal VOC from its files to the evaluation of decoded networks, on a few small pictures."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ecqx.compression.artefact import bitstream
from ecqx.compression.loading import load_method
from ecqx.compression.run import compress_point
from ecqx.evaluation.agreement import class_rows
from ecqx.evaluation.evaluate import evaluate_network, make_reference
from ecqx.evaluation.localisation import LOCALISATIONS
from ecqx.evaluation.subset import evaluation_pairs
from ecqx.seeding import generator
from ecqx.tasks import data, models
from ecqx.tasks.datasets import pascal_voc
from ecqx.tasks.pretrain import pretrain
from ecqx.tasks.task import Budget, Task, objective, predict
from tests.voc_tree import COLORS, write_tree

METHODS = sorted((Path(__file__).parents[2] / "baselines").glob("*.py"))
EXPLAINERS = ("lrp_epsilon_plus_flat", "grad_cam", "gradient_x_input")
PRESENT = [value - 1 for value in COLORS]  # classes


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Everything up to the full-precision network: a ResNet18 an eighth as wide."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pascal_voc, "SIDE", 48)
        patch.setattr(models.get("resnet18"), "_STAGES", (8, 16, 32, 64))
        root = tmp_path_factory.mktemp("voc")
        write_tree(root, n_train=70, n_val=16)
        path = root / "data.pt"
        data.save(pascal_voc.prepare(0, root), path)
        dataset = data.load(path)
        task = Task.from_dataset(dataset, "resnet18", Budget(10, 1e-2, 16), order_seed=0)
        build = models.get("resnet18").build
        trained = pretrain(build, task, generator(0))
        index, target = evaluation_pairs(dataset.test, samples=8, seed=0)
        score = objective(dataset)[1]
        reference = make_reference(
            trained.model, dataset.test, dataset.validation, index, target, EXPLAINERS, score
        )
        short = Task.from_dataset(
            dataset, "resnet18", Budget(1, 1e-4, 16), order_seed=0, build=build
        )
        yield SimpleNamespace(
            build=build,
            dataset=dataset,
            model=trained.model,
            reference=reference,
            score=score,
            task=short,
        )
    torch.set_num_threads(threads)


def test_the_network_learns_several_classes_at_once(chain):
    """Mean average precision well above what an order without information gives."""
    y = chain.dataset.test.y
    assert y.sum(1).max() > 1
    shuffled = chain.reference.logits[torch.randperm(len(y), generator=generator(0))]
    assert chain.reference.accuracy > chain.score(shuffled, y) + 0.1
    assert chain.reference.accuracy > 0.75


def test_each_label_of_an_image_is_explained_and_has_its_own_mask(chain):
    test, reference = chain.dataset.test, chain.reference
    assert len(reference.index) > len(reference.index.unique()) == 8
    assert bool(test.y[reference.index, reference.target].all())
    masks = test.mask_of(reference.index, reference.target)
    for image in reference.index.unique():
        own = masks[reference.index == image]
        assert bool(own.flatten(1).any(dim=1).all())
        assert int(own.sum(0).max()) == 1, "masks of one image do not overlap"


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_every_method_from_the_files_to_localisation(chain, path):
    outcome = compress_point(load_method(path), {}, chain.model, chain.task, ("voc", path.stem))
    assert outcome.status == "ok", outcome.reason
    dataset, reference = chain.dataset, chain.reference
    architecture = bitstream.architecture(outcome.artefact)
    decoded = chain.build(dataset.input_shape, len(dataset.classes), **architecture).eval()
    bitstream.load(decoded, bitstream.decode(outcome.artefact))

    evaluated = evaluate_network(decoded, dataset.test, reference, EXPLAINERS, chain.score)
    logits = predict(decoded, dataset.test.x)
    assert evaluated["accuracy"] == pytest.approx(chain.score(logits, dataset.test.y), abs=1e-6)
    assert 0 <= evaluated["flips"] <= 1

    # every pair has a mask, so every pair counts
    rows = [
        row
        for row in evaluated["rows"]
        if row["metric"] in LOCALISATIONS and row["subset"] == "all" and row["signed"]
    ]
    assert len(rows) == len(LOCALISATIONS) * len(EXPLAINERS)
    assert {row["n"] for row in rows} == {len(reference.index)}
    assert all(0 <= row["mean"] <= 1 for row in rows)

    by_class = class_rows(logits, reference.logits, dataset.test.y, dataset.classes)
    for c, row in enumerate(by_class):
        assert row["class"] == pascal_voc.CLASSES[c]
        assert (row["n"] > 0) == (c in PRESENT)
        assert (0 <= row["accuracy"] <= 1 and 0 <= row["f1"] <= 1) == (c in PRESENT)
    scored = [row["accuracy"] for row in by_class if row["n"]]
    assert sum(scored) / len(scored) == pytest.approx(evaluated["accuracy"], abs=1e-6)
