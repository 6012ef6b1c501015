"""Group normalisation: the same maps, in the same layout, whichever way they were computed."""

import pytest
import torch
from torch import nn

from lfsd.norm import PlanarGroupNorm, install_norms


def copied(norm: nn.GroupNorm) -> PlanarGroupNorm:
    other = PlanarGroupNorm(norm.num_groups, norm.num_channels, norm.eps)
    other.load_state_dict(norm.state_dict())
    return other


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_values_gradients_and_layout_are_the_ordinary_ones(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    norm = nn.GroupNorm(4, 16)
    nn.init.normal_(norm.weight, generator=generator)
    start = torch.randn(3, 16, 8, 8, generator=generator) * 3 + 1
    pull = torch.randn(3, 16, 8, 8, generator=generator)
    found = []
    for one in (norm, copied(norm)):
        maps = start.to(dtype).to(memory_format=layout).requires_grad_()
        out = one(maps)
        assert out.is_contiguous(memory_format=layout) and out.dtype == dtype
        out.backward(pull.to(dtype).to(memory_format=layout))
        assert maps.grad is not None
        found.append((out.detach().float(), maps.grad.float()))
    off = 0.02 if dtype == torch.bfloat16 else 1e-5
    for ordinary, ours in zip(*found, strict=True):
        assert (ordinary - ours).abs().max() < off * ordinary.abs().max()


def test_maps_without_places_pass_as_they_are() -> None:
    norm = nn.GroupNorm(2, 8)
    maps = torch.randn(2, 8, 5, dtype=torch.bfloat16)
    assert torch.equal(copied(norm)(maps), norm(maps))


def test_only_a_networks_ordinary_norms_are_replaced_and_keep_their_weights() -> None:
    network = nn.Sequential(nn.GroupNorm(2, 4), nn.LayerNorm(4), copied(nn.GroupNorm(2, 4)))
    before = network[0].weight
    assert install_norms(network) == 1
    assert isinstance(network[0], PlanarGroupNorm) and network[0].weight is before
    assert type(network[1]) is nn.LayerNorm
