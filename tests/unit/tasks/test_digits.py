import torch
from sklearn.datasets import load_digits

from ecqx.tasks.datasets import digits


def originals(split, like):
    """The pixels of a split on their original scale of 0 to 16, as bytes per image."""
    scale = 16 / (like.train.x.max() - like.train.x.min())
    pixels = ((split.x - like.train.x.min()) * scale).round().to(torch.uint8)
    return [image.numpy().tobytes() for image in pixels]


def test_every_image_is_in_one_split(global_rng_untouched):
    dataset = digits.prepare(0)
    names = ("train", "validation", "test")
    parts = [originals(getattr(dataset, name), dataset) for name in names]
    labels = [getattr(dataset, name).y.tolist() for name in names]
    found = sorted(zip(sum(parts, []), sum(labels, []), strict=True))
    bunch = load_digits()
    expected = sorted(
        (image.astype("uint8").tobytes(), int(label))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    )
    assert found == expected
    assert len(set(sum(parts, []))) == 1797, "no image occurs twice, so none is in two splits"


def test_shares_classes_and_scale():
    dataset = digits.prepare(3)
    sizes = [len(s) / 1797 for s in (dataset.train, dataset.validation, dataset.test)]
    assert [round(size, 2) for size in sizes] == [0.3, 0.2, 0.5]
    assert dataset.input_shape == (1, 8, 8)
    for split in (dataset.train, dataset.validation, dataset.test):
        counts = split.y.bincount(minlength=10)
        assert counts.min() > 0.85 * counts.max()
    assert abs(dataset.train.x.mean().item()) < 1e-4
    assert abs(dataset.train.x.std().item() - 1) < 1e-4


def test_the_seed_decides():
    first, again, other = (digits.prepare(seed).train.x for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
