"""What the sources themselves promise; their use in training is tested there."""

import torch

from ecqx.compression.assignment.relevance_sources import _parts
from ecqx.tasks import models


def test_lrp_takes_a_batch_in_halves_where_activations_outweigh_the_weights():
    residual = models.get("resnet20").build((3, 32, 32), 10)
    dense = models.get("mlp_gsc").build((1, 15, 49), 12).train()
    assert _parts(residual, torch.randn(64, 3, 32, 32)) == 2
    assert _parts(residual, torch.randn(1, 3, 32, 32)) == 1
    assert _parts(dense, torch.randn(64, 1, 15, 49)) == 1
    assert dense.training
    assert not any(module._forward_hooks for module in dense.modules())
