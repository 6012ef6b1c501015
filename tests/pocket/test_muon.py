"""The recipe's optimiser: how far it steps, and that it learns."""

import pytest
import torch

from recipes.pocket.muon import Muon


def test_the_step_is_as_large_as_adamws_and_the_same_for_a_convolution() -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.nn.Parameter(torch.zeros(16, 8, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=generator)
    Muon([weight], lr=1e-2, weight_decay=0.0).step()
    assert weight.detach().square().mean().sqrt() == pytest.approx(0.2e-2, rel=0.15)
    assert (weight.detach() * weight.grad).sum() < 0


def test_it_finds_a_linear_map_whose_directions_differ_tenfold() -> None:
    generator = torch.Generator().manual_seed(2)
    target = torch.randn(12, 20, generator=generator)
    inputs = torch.randn(256, 20, generator=generator) * torch.logspace(0, -1, 20)
    weight = torch.nn.Parameter(torch.zeros(12, 20))
    optimiser = Muon([weight], lr=0.1, weight_decay=0.0)
    for step in range(300):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        optimiser.zero_grad()
        (inputs @ (weight - target).T).square().mean().backward()
        optimiser.step()
    assert (weight.detach() - target).square().mean() < 0.01 * target.square().mean()
