"""What is measured on a network of another architecture than the one that was compressed."""

import functools

import pytest
import torch

from ecqx.compression.artefact import bitstream
from ecqx.compression.methods.distil import Distil
from ecqx.compression.run import compress_point
from ecqx.evaluation.evaluate import explain_all, make_reference
from ecqx.evaluation.faithfulness import mean_filler, occlusion_curves
from ecqx.evaluation.measuring import measure, undefined
from ecqx.tasks import models
from ecqx.tasks.data import Dataset, Split
from ecqx.tasks.task import Budget, Task, objective, predict


def test_a_student_is_measured_as_what_it_is_and_compared_with_its_teacher():
    rng = torch.Generator().manual_seed(0)
    splits = []
    for n in (64, 32, 32):
        y = torch.arange(n) % 3
        x = 0.3 * torch.randn(n, 1, 8, 8, generator=rng)
        x[torch.arange(n), 0, 2 * y + 1] += 1
        splits.append(Split(x, y))
    dataset = Dataset("digits", ("a", "b", "c"), *splits)
    build = functools.partial(models.network, "small_vgg", (1, 8, 8), 3)
    torch.manual_seed(0)
    teacher = build()
    task = Task.from_dataset(
        dataset, "small_vgg", Budget(1, 1e-3, 32), 0, models.get("small_vgg").build
    )
    artefact = compress_point(Distil, {"width": 0.5}, teacher, task, ("t",)).artefact
    _, score = objective(dataset)
    index = torch.arange(8)
    reference = make_reference(
        teacher, dataset.test, dataset.validation, index, dataset.test.y[index], ["grad_cam"], score
    )
    known = undefined(teacher, dataset, reference)
    full = known["size_fp32_bytes"]
    settings = {
        "explainers": ["grad_cam"], "metrics": ["pearson"], "localisation": [], "complexity": [],
        "gallery_samples": 2, "faithfulness": {"samples": 4, "groups": 100, "absolute": True},
    }  # fmt: skip
    metrics, tables, samples, maps, _ = measure(
        artefact, build, full, torch.device("cpu"), dataset, reference, teacher, settings
    )
    assert metrics["compression_ratio"] == full / len(artefact)
    student = build(width=0.5)
    bitstream.load(student, bitstream.decode(artefact))
    logits = predict(student, dataset.test.x)
    assert metrics["accuracy"] == score(logits, dataset.test.y)
    assert 0.2 * known["macs_fp32"] < metrics["macs"] < 0.5 * known["macs_fp32"]
    weights = [p for p in student.parameters() if p.ndim > 1]
    assert sum(row["weights"] for row in tables["layers"]) == sum(p.numel() for p in weights)
    # distances that no constant changes, and gains on the first of the explained pairs alone
    moved = logits - reference.logits
    distance = (moved - moved.mean(dim=1, keepdim=True)).norm(dim=1).mean().item()
    assert metrics["logit_distance"] == pytest.approx(distance, rel=1e-5)
    x, y = dataset.test.x[:4], dataset.test.y[:4]
    own = explain_all(student, x, y, ["grad_cam"])["grad_cam"]
    filler = mean_filler(dataset.train.x, False)
    for network, judged in (("own", student), ("reference", teacher)):
        for source, of in (("own", own), ("reference", reference.maps["grad_cam"][:4])):
            rows = [
                row for row in tables["gains"] if (row["network"], row["map"]) == (network, source)
            ]
            if network == source == "reference":  # the anchor "identical" has it
                assert rows == []
                continue
            gain = occlusion_curves(judged, x, y, {"": of}, filler, 64)[""].gain()
            assert [row["signed"] for row in rows] == [True, False]
            for row in rows:
                assert row["n"] == 4
                assert row["mean"] == pytest.approx(gain.mean().item(), abs=1e-6)
                assert row["std"] == pytest.approx(gain.std().item(), abs=1e-6)
    assert maps["grad_cam"].shape == (2, 8, 8)
