import pytest
import torch
from scipy.stats import entropy

from ecqx.compression.artefact.size import (
    entropy_bits,
    entropy_bytes,
    full_precision_bytes,
    layer_rows,
    sparsity,
)


def test_entropy_against_scipy():
    rng = torch.Generator().manual_seed(0)
    state = {
        "a": torch.randint(-3, 4, (40, 30), generator=rng).float() * 0.1,
        "b": (torch.rand(10, 5, 3, 3, generator=rng) < 0.1).float(),
    }
    expected = sum(
        entropy(t.unique(return_counts=True)[1].numpy(), base=2) * t.numel() / 8
        for t in (state["a"], state["b"])
    )
    assert entropy_bytes(state) == pytest.approx(expected)


def test_constant_weights_carry_no_information():
    assert entropy_bytes({"a": torch.full((5, 5), 0.3)}) == 0


def test_sparsity_is_the_share_of_zeros():
    assert sparsity({"a": torch.tensor([[0.0, 1.0], [0.0, 2.0]]), "b": torch.ones(1, 4)}) == 0.25
    assert sparsity({}) == 0


def test_layers_in_the_order_of_the_network_add_up_to_the_whole():
    rng = torch.Generator().manual_seed(3)
    state = {
        "z": (torch.rand(8, 5, generator=rng) < 0.3).float(),
        "a": torch.randint(-2, 3, (4, 8, 3, 3), generator=rng).float(),
    }
    rows = layer_rows(state)
    assert [(row["tensor"], row["position"], row["weights"]) for row in rows] == [
        ("z", 0, 40),
        ("a", 1, 288),
    ]
    for row in rows:
        levels = state[row["tensor"]].unique(return_counts=True)[1].numpy()
        assert row["entropy_bits"] == pytest.approx(entropy(levels, base=2))
        assert row["sparsity"] == pytest.approx((state[row["tensor"]] == 0).double().mean().item())
    bits = sum(row["weights"] * row["entropy_bits"] for row in rows)
    assert bits / 8 == pytest.approx(entropy_bytes(state))
    zeros = sum(row["weights"] * row["sparsity"] for row in rows)
    assert zeros / 328 == pytest.approx(sparsity(state))


def test_entropy_of_two_equal_halves_is_a_bit():
    assert entropy_bits(torch.tensor([[1.0, 2.0], [2.0, 1.0]])) == 1


def test_full_precision_counts_every_element(small_cnn):
    # 54 + (6 * 4 + 1) + (432 + 8) + (96 + 3): parameters, running statistics and a counter
    assert full_precision_bytes(small_cnn) == 4 * (54 + 25 + 440 + 99)
