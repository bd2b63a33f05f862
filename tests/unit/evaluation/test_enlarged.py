"""Feature maps brought to the inputs' size."""

import torch

from ecqx.evaluation.explainers import _enlarged
from ecqx.evaluation.maps import informative


def test_constant_maps_stay_constant():
    values = torch.rand(200, generator=torch.Generator().manual_seed(0)) * 100
    for small, large in ((4, 32), (7, 224), (8, 28), (5, 33)):
        maps = values[:, None, None].expand(-1, small, small)
        enlarged = _enlarged(maps, torch.zeros(1, 1, large, large))
        assert torch.equal(enlarged, values[:, None, None].expand_as(enlarged))
        plain = torch.nn.functional.interpolate(
            maps[:, None], size=(large, large), mode="bilinear", align_corners=False
        )
        assert not informative(plain.squeeze(1)).any()  # what others enlarged without care
