import pytest
import torch

from ecqx.seeding import generator
from ecqx.tasks.datasets import cluttered_digits, digits


@pytest.fixture
def bare(monkeypatch):
    """No clutter: canvases hold the whole digit alone."""
    monkeypatch.setattr(cluttered_digits, "_FRAGMENTS", 0)
    monkeypatch.setattr(cluttered_digits, "_TEXTURE", 0.0)
    monkeypatch.setattr(cluttered_digits, "_NOISE", 0.0)


def draw(n=60, seed=0):
    images, labels = digits.images()
    return cluttered_digits.render(images, labels, n, generator(seed))


def test_no_source_digit_is_in_two_splits(monkeypatch):
    given = []
    render = cluttered_digits.render
    monkeypatch.setattr(
        cluttered_digits,
        "render",
        lambda images, *rest: given.append(images) or render(images, *rest),
    )
    cluttered_digits.compose(0, 20, 20, 20)
    sources = [{image.numpy().tobytes() for image in images} for images in given]
    assert len(sources) == 3 and all(len(s) > 300 for s in sources)
    assert not (sources[0] & sources[1] or sources[0] & sources[2] or sources[1] & sources[2])


def test_sizes_classes_and_scale(global_rng_untouched):
    dataset = cluttered_digits.compose(0, 400, 100, 120)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [400, 100, 120]
    assert dataset.input_shape == (1, 32, 32)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert (split.y.bincount(minlength=10) > 0).all()
        assert split.mask.shape == (len(split), 32, 32)
    assert abs(dataset.train.x.mean().item()) < 1e-4
    assert abs(dataset.train.x.std().item() - 1) < 1e-4


def test_the_seed_decides():
    first, again, other = (cluttered_digits.compose(seed, 30, 10, 10) for seed in (0, 0, 1))
    assert torch.equal(first.test.x, again.test.x)
    assert torch.equal(first.test.mask, again.test.mask)
    assert not torch.equal(first.test.x, other.test.x)


def test_sources_are_used_about_equally_often(bare):
    images = torch.zeros(7, 1, 8, 8)
    _, labels, _ = cluttered_digits.render(images, torch.arange(7), 30, generator(0))
    assert sorted(labels.bincount(minlength=7).tolist()) == [4, 4, 4, 4, 4, 5, 5]


def test_the_whole_digit_is_inside_the_canvas(bare, monkeypatch):
    """Anywhere it is drawn, a digit has the ink that it has in the middle of the canvas."""
    monkeypatch.setattr(cluttered_digits, "_DIGIT_SIDE", (20.0, 20.0))
    images, labels = digits.images()
    images, labels = images[:300], labels[:300]
    monkeypatch.setattr(torch, "randperm", lambda n, generator: torch.arange(n))
    x, y, _ = cluttered_digits.render(images, labels, 300, generator(0))
    assert torch.equal(y, labels)
    middle = torch.full((300, 2), cluttered_digits.SIDE / 2)
    uncut = cluttered_digits._place(images, torch.full((300,), 20.0), middle)
    torch.testing.assert_close(x.sum(dim=(1, 2, 3)), uncut.sum(dim=(1, 2, 3)), rtol=0.03, atol=0)


def test_enlarging_keeps_the_picture():
    """Averaged over the pixels of a source pixel, the enlarged digit is the source."""
    images, _ = digits.images()
    middle = torch.full((100, 2), cluttered_digits.SIDE / 2)
    enlarged = cluttered_digits._place(images[:100], torch.full((100,), 32.0), middle)
    averaged = torch.nn.functional.avg_pool2d(enlarged, 4)
    correlation = torch.corrcoef(torch.stack([averaged.flatten(), images[:100].flatten()]))[0, 1]
    assert correlation > 0.98


def test_the_mask_covers_the_digit_and_nothing_else(bare):
    x, _, mask = draw(300)
    assert mask.shape == (300, 32, 32)
    assert torch.equal(mask, x[:, 0] > cluttered_digits._MASK_THRESHOLD)
    inside = (x[:, 0] * mask).sum(dim=(1, 2)) / x[:, 0].sum(dim=(1, 2))
    assert inside.min() > 0.75
    area = mask.float().mean(dim=(1, 2))
    assert area.min() > 0.03 and area.max() < 0.5


def test_places_and_scales_vary(bare):
    _, _, mask = draw(300)
    position = torch.arange(32.0)
    area = mask.sum(dim=(1, 2))
    column = (mask * position).sum(dim=(1, 2)) / area
    row = (mask * position[:, None]).sum(dim=(1, 2)) / area
    assert column.std() > 1.5 and row.std() > 1.5
    height = mask.any(dim=2).sum(dim=1)
    assert height.max() - height.min() >= 8


def test_clutter_adds_and_never_hides_the_digit(bare, monkeypatch):
    clean, labels, mask = draw(100)
    monkeypatch.setattr(cluttered_digits, "_FRAGMENTS", 5)
    monkeypatch.setattr(cluttered_digits, "_TEXTURE", 0.25)
    cluttered, labels_too, mask_too = draw(100)
    assert torch.equal(labels, labels_too) and torch.equal(mask, mask_too)
    assert bool((cluttered >= clean).all())
    outside = ~mask[:, None]
    added = (cluttered - clean)[outside]
    assert (added > 0.3).float().mean() > 0.03, "strokes outside of the digit"


def test_fragments_are_pieces_of_digits(bare):
    whole = torch.ones(200, 1, 8, 8)
    piece = cluttered_digits._place_fragment(whole, generator(0))
    low, high = cluttered_digits._FRAGMENT_EXTENT
    largest = (high * cluttered_digits._DIGIT_SIDE[1] / 8) ** 2
    area = (piece[:, 0] > 0.05).sum(dim=(1, 2))
    # the smooth edge adds about a source pixel all around
    assert area.max() < largest * (1 + 2 / high) ** 2
    assert area.float().mean() > low**2
    brightness = piece.amax(dim=(1, 2, 3))
    assert brightness.std() > 0.05 and piece.max() <= 1


def test_augment_shifts_and_leaves_its_input(global_rng_untouched):
    x = torch.arange(1024.0).reshape(1, 1, 32, 32).expand(100, 1, 32, 32).clone()
    before = x.clone()
    moved = cluttered_digits.augment(x, generator(0))
    assert torch.equal(x, before)
    padded = torch.nn.functional.pad(x[:1], (2, 2, 2, 2), mode="replicate")[0, 0]
    allowed = {padded[i : i + 32, j : j + 32].numpy().tobytes() for i in range(5) for j in range(5)}
    found = {image.numpy().tobytes() for image in moved[:, 0]}
    assert found <= allowed and len(found) > 15
