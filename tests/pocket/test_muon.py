"""The recipe's optimiser: what it makes of a gradient, and that it learns."""

import pytest
import torch

from recipes.pocket.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 90), (90, 24), (40, 40)])
def test_an_update_moves_every_direction_alike(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], min(shape), generator=generator))
    right, _ = torch.linalg.qr(torch.randn(shape[1], min(shape), generator=generator))
    uneven = left @ torch.diag(torch.logspace(0, -2, min(shape))) @ right.T
    even = orthogonal(uneven)
    values = torch.linalg.svdvals(even)
    assert values.min() > 0.8 and values.max() < 1.2
    assert (
        torch.nn.functional.cosine_similarity(even.flatten(), (left @ right.T).flatten(), dim=0)
        > 0.99
    )


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
