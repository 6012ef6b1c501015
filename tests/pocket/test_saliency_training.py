"""The studio that puts photos together, and the saliency network that learns from them."""

from types import SimpleNamespace

import pytest
import torch

from lfsd.saliency_net import SIDE, SaliencyNet
from recipes.pocket.studio import Stand, Studio, mean_colour, pasted
from recipes.pocket.train_saliency import mask_losses


def disc(*colour: int) -> torch.Tensor:
    """A cut-out [4,128,128] uint8: a disc of one colour that fills the square."""
    axis = torch.linspace(-1, 1, SIDE)
    solid = (axis[:, None] ** 2 + axis[None] ** 2 < 0.9).byte() * 255
    return torch.stack([*(torch.full_like(solid, c) for c in colour), solid])


@pytest.fixture
def studio() -> Studio:
    subjects = [SimpleNamespace(style="photo", held_out=h) for h in (False, False, True)]
    sprites = torch.stack([disc(255, 0, 0), disc(0, 255, 0), disc(0, 0, 255)])
    grey = torch.full((2, 3, 160, 160), 128, dtype=torch.uint8)
    return Studio(SimpleNamespace(subjects=subjects, sprites=sprites), grey, grey)  # type: ignore[arg-type]


def test_pictures_and_alphas(studio: Studio) -> None:
    torch.manual_seed(0)
    picture, alpha = studio.pictures(12, photos=4)
    assert picture.shape == (12, 3, SIDE, SIDE) and alpha.shape == (12, 1, SIDE, SIDE)
    for values in (picture, alpha):
        assert torch.isfinite(values).all() and values.min() >= 0 and values.max() <= 1
    assert (alpha.mean((1, 2, 3)) > 0.01).all()  # every picture has its subject


def test_held_out_subjects_never_pose(studio: Studio) -> None:
    assert len(studio.sprites) == 2 and not (studio.sprites[:, 2] > 0).any()


def test_photos_of_a_set_show_one_subject(studio: Studio) -> None:
    torch.manual_seed(1)
    shown: list[torch.Tensor] = []
    draw = studio._cut_outs

    def remembered(b: int) -> torch.Tensor:
        shown.append(draw(b))
        return shown[-1]

    studio._cut_outs = remembered  # type: ignore[method-assign]
    studio.pictures(8, photos=4)
    assert len(shown[0]) == 2  # two subjects for eight pictures
    assert {len(cut) for cut in shown[1:]} == {8}  # and other things anew for each


def test_a_cut_out_stands_where_it_is_put() -> None:
    torch.manual_seed(2)
    one = torch.ones(1, 1, 1, 1)
    cut = disc(255, 0, 0)[None].float() / 255
    ground = torch.zeros(1, 3, SIDE, SIDE)
    picture, alpha = pasted(ground, cut, Stand(0.25 * one, 0.75 * one, 0.5 * one), hidden=0.0)
    where = alpha[0, 0] > 0.5
    rows, columns = torch.nonzero(where.any(1)), torch.nonzero(where.any(0))
    assert rows.float().mean() / SIDE == pytest.approx(0.5, abs=0.03)
    assert columns.float().mean() / SIDE == pytest.approx(0.25, abs=0.03)
    assert float(mean_colour(picture, alpha)[0, 0]) > 0.5


def test_losses_are_least_for_the_alpha_itself() -> None:
    alpha = (torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    right, wrong = mask_losses(alpha * 20 - 10, alpha), mask_losses(10 - alpha * 20, alpha)
    assert float(right["overlap"]) > 0.99 and float(wrong["overlap"]) < 0.01
    assert float(right["loss"]) < 0.01 < 1 < float(wrong["loss"])


def test_photos_of_a_set_are_seen_together_and_sets_apart() -> None:
    torch.manual_seed(3)
    net = SaliencyNet().eval()
    rgb = torch.rand(4, 3, 64, 64)
    other = torch.cat([rgb[:3], torch.rand(1, 3, 64, 64)])
    with torch.no_grad():
        pairs, changed = net(rgb, 2), net(other, 2)
    assert pairs.shape == (4, 1, 32, 32)
    assert torch.allclose(pairs[:2], changed[:2], atol=1e-5)
    assert not torch.allclose(pairs[2], changed[2], atol=1e-4)
