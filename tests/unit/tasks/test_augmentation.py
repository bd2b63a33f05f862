import pytest
import torch
from torch.nn import functional

from ecqx.seeding import generator
from ecqx.tasks.augmentation import crop_and_flip


def outcomes(image, padding):
    """Every window of the padded image, and its mirror image: what can come out."""
    padded = functional.pad(image, (padding,) * 4)
    height, width = image.shape[1:]
    windows = [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    ]
    return [*windows, *(window.flip(-1) for window in windows)]


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_every_window_comes_out_equally_often(padding, global_rng_untouched):
    image = torch.arange(1.0, 41.0).reshape(2, 4, 5)
    x = image.expand(4000, 2, 4, 5).clone()
    varied = crop_and_flip(x, generator("augmentation", padding), padding)
    assert torch.equal(x, image.expand_as(x)), "the argument stays"
    expected = torch.stack(outcomes(image, padding)).flatten(1)
    which = (varied.flatten(1)[:, None] == expected).all(dim=2)
    assert bool((which.sum(dim=1) == 1).all()), "each is one of them"
    counts, share = which.sum(dim=0).double(), len(x) / len(expected)
    chi_square = ((counts - share) ** 2 / share).sum().item()
    degrees = len(expected) - 1
    assert chi_square < degrees + 5 * (2 * degrees) ** 0.5  # five standard deviations


def test_the_generator_decides(global_rng_untouched):
    x = torch.rand(20, 3, 8, 8, generator=generator(0))
    first, again, other = (crop_and_flip(x, generator(seed), 2) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_negative_padding_is_refused():
    with pytest.raises(ValueError, match="padding is -1, expected at least 0"):
        crop_and_flip(torch.zeros(1, 1, 2, 2), generator(0), -1)
