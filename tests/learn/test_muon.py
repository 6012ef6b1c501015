"""The optimiser: what it makes of a gradient, of which parameters, and that it learns."""

import pytest
import torch

from lfsd.muon import Muon, orthogonal, step_size


def matrices(count: int, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices whose singular values span a hundredfold, and their polar factors."""
    generator = torch.Generator().manual_seed(0)
    least = min(rows, columns)
    left, _ = torch.linalg.qr(torch.randn(count, rows, least, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(count, columns, least, generator=generator))
    return left @ torch.diag(torch.logspace(0, -2, least)) @ right.mT, left @ right.mT


@pytest.mark.parametrize("shape", [(24, 90), (90, 24), (40, 40)])
def test_an_update_moves_every_direction_alike(shape: tuple[int, int]) -> None:
    uneven, polar = matrices(3, *shape)
    (even,) = orthogonal([uneven])
    values = torch.linalg.svdvals(even)
    assert values.min() > 0.8 and values.max() < 1.2
    alike = torch.nn.functional.cosine_similarity(even.flatten(1), polar.flatten(1))
    assert alike.min() > 0.99


def test_matrices_of_other_shapes_beside_it_change_nothing() -> None:
    given = [matrices(n, *shape)[0] for n, shape in ((3, (8, 20)), (1, (20, 8)), (2, (12, 12)))]
    together = orthogonal(given)
    assert [m.shape for m in together] == [m.shape for m in given]
    for one, alone in zip(together, given, strict=True):
        assert torch.allclose(one, orthogonal([alone])[0], atol=1e-5)


def group(parameters: list[torch.nn.Parameter], rate: float) -> dict[str, object]:
    return {"params": parameters, "lr": rate, "weight_decay": 0.0, "orthogonal": True}


def test_the_step_is_as_large_as_adamws_and_the_same_for_a_convolution() -> None:
    generator = torch.Generator().manual_seed(1)
    weights = [torch.nn.Parameter(torch.zeros(s)) for s in ((16, 8, 3, 3), (16, 8, 3, 3), (16, 72))]
    gradient = torch.randn(16, 8, 3, 3, generator=generator)
    for weight in weights:
        weight.grad = gradient.reshape(weight.shape).clone()
    Muon([group(weights, 1e-2)]).step()
    moved = [w.detach().reshape(16, 72) for w in weights]
    assert all(torch.equal(m, moved[0]) for m in moved)
    assert moved[0].square().mean().sqrt() == pytest.approx(0.2e-2, rel=0.15)
    assert (moved[0] * gradient.reshape(16, 72)).sum() < 0
    assert step_size(16, 72) == step_size(72, 16)


def test_columns_without_a_gradient_stay_as_they_are_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(2)
    for shape in ((12, 40), (40, 12)):
        weight = torch.nn.Parameter(torch.randn(shape, generator=generator))
        before, optimiser = weight.detach().clone(), Muon([group([weight], 1e-2)])
        for _ in range(3):
            weight.grad = torch.randn(shape, generator=generator)
            weight.grad[:, 5:] = 0
            optimiser.step()
        assert torch.equal(weight[:, 5:], before[:, 5:])
        assert not torch.equal(weight[:, :5], before[:, :5])


def test_without_any_gradient_nothing_moves() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 6))
    Muon([group([weight], 1e-2)]).step()
    assert torch.equal(weight, torch.ones(4, 6))


def test_other_groups_take_adamws_step() -> None:
    start = torch.linspace(-1, 1, 6).reshape(2, 3)
    mine, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    matrix = torch.nn.Parameter(torch.ones(4, 4))
    optimiser = Muon([group([matrix], 1e-2), {"params": [mine], "lr": 3e-3}])
    plain = torch.optim.AdamW([theirs], lr=3e-3)
    for step in range(3):
        matrix.grad = torch.eye(4)
        mine.grad, theirs.grad = start * step, start * step
        optimiser.step()
        plain.step()
    assert torch.equal(mine, theirs) and not torch.equal(mine, start)
    assert not torch.equal(matrix, torch.ones(4, 4))


def test_it_goes_on_from_its_state_as_if_never_stopped() -> None:
    generator = torch.Generator().manual_seed(3)
    gradients = torch.randn(6, 5, 9, generator=generator)

    def run(weight: torch.nn.Parameter, optimiser: Muon, part: torch.Tensor) -> None:
        for gradient in part:
            weight.grad = gradient.clone()
            optimiser.step()

    whole, halves = (torch.nn.Parameter(torch.zeros(5, 9)) for _ in range(2))
    run(whole, Muon([group([whole], 1e-2)]), gradients)
    first = Muon([group([halves], 1e-2)])
    run(halves, first, gradients[:3])
    second = Muon([group([halves], 1e-2)])
    second.load_state_dict(first.state_dict())
    run(halves, second, gradients[3:])
    assert torch.equal(whole, halves)


def test_it_finds_a_linear_map_whose_directions_differ_tenfold() -> None:
    generator = torch.Generator().manual_seed(2)
    target = torch.randn(12, 20, generator=generator)
    inputs = torch.randn(256, 20, generator=generator) * torch.logspace(0, -1, 20)
    weight = torch.nn.Parameter(torch.zeros(12, 20))
    optimiser = Muon([group([weight], 0.1)])
    for step in range(300):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        (inputs @ (weight - target).T).square().mean().backward()
        optimiser.step()
    assert (weight.detach() - target).square().mean() < 0.01 * target.square().mean()
