"""What metrics ask about in turn is computed once, and never for another tensor."""

import torch

from ecqx.evaluation.maps import average_ranks, informative, remembered
from ecqx.evaluation.measures import measure_maps


def counted():
    calls = []

    @remembered
    def total(tensor):
        calls.append(tensor.shape)
        return tensor.sum()

    return total, calls


def test_the_same_tensor_is_asked_once():
    total, calls = counted()
    a, b = torch.ones(3), torch.zeros(3)
    assert [total(t).item() for t in (a, b, a, b, a)] == [3, 0, 3, 0, 3]
    assert len(calls) == 2


def test_a_changed_tensor_is_another_one():
    total, calls = counted()
    a = torch.ones(3)
    assert total(a) == 3
    a[0] = 5
    assert total(a) == 7
    a.zero_()
    assert total(a) == 0
    assert len(calls) == 3


def test_a_tensor_in_the_place_of_a_gone_one_is_another_one():
    total, _ = counted()
    for value in range(50):  # memory, and with it the identity, is used again
        assert total(torch.full((4,), float(value))) == 4 * value


def test_inference_tensors_are_asked_every_time():
    total, calls = counted()
    with torch.inference_mode():
        a = torch.ones(3)
        assert total(a) == 3
        a[0] = 5
        assert total(a) == 7
    assert len(calls) == 2


def test_ranks_of_a_pair_are_shared_by_all_metrics(monkeypatch):
    sorted_shapes = []
    sort = torch.Tensor.sort
    monkeypatch.setattr(
        torch.Tensor, "sort", lambda self, **k: sorted_shapes.append(self.shape) or sort(self, **k)
    )
    own, reference = torch.randn(2, 6, 8, 8)
    mask = torch.rand(6, 8, 8) < 0.3
    measure_maps({"e": own}, {"e": reference}, mask, ["spearman", "auc", "spearman"])
    assert len(sorted_shapes) == 4  # two maps, signed and magnitudes
    assert informative(own).all() and average_ranks(own).shape == (6, 64)
