"""Subject masks: known discs on known grounds, and the parts they are made of."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lfsd.lab import srgb_to_lab
from lfsd.mask_shapes import components, enclosed, random_walk, refine_mask, sharpen
from lfsd.saliency import subject_masks
from lfsd.saliency_net import TOGETHER
from tests.photos.pictures import scene


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union at the mask's own size."""
    small = Image.fromarray(truth.astype(np.float32)).resize(
        (mask.shape[1], mask.shape[0]), Image.Resampling.BOX
    )
    wanted, got = np.asarray(small) > 0.5, mask > 0.5
    return float((wanted & got).sum() / max((wanted | got).sum(), 1))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_disc_is_found(count: int) -> None:
    pairs = [scene(i, centre=(0.3 + 0.1 * i, 0.45), radius=0.28) for i in range(count)]
    masks = subject_masks([photo for photo, _ in pairs], [None] * count)
    for mask, (_, truth) in zip(masks, pairs, strict=True):
        assert mask.dtype == np.float32 and max(mask.shape) == 128
        assert overlap(mask, truth) > 0.9


def test_other_photos_tell_subject_from_bystander() -> None:
    """A thing beside the subject is dropped when the other photos do not show it."""
    pairs = [scene(i, centre=(0.3, 0.5), radius=0.2) for i in range(4)]
    photo, truth = pairs[0]
    ImageDraw.Draw(photo).rectangle((130, 50, 170, 100), fill=(40, 230, 60))
    alone = subject_masks([photo], [None])[0]
    together = subject_masks([p for p, _ in pairs], [None] * 4)[0]
    assert overlap(alone, truth) < 0.7
    assert overlap(together, truth) > 0.9


def on_a_block(seed: int, spot: float) -> tuple[Image.Image, np.ndarray]:
    """A dark brown ball on a block of nearly its own colour, before a light wall."""
    photo, truth = scene(seed, centre=(spot, 0.42), radius=0.24, subject=(96, 58, 44))
    foot = int(np.flatnonzero(truth.any(1)).max())
    draw = ImageDraw.Draw(photo)
    x = round(spot * photo.width)
    draw.rectangle((x - 55, foot - 3, x + 55, foot + 30), fill=(84, 66, 58))
    return photo, truth & (np.arange(photo.height) < foot - 3)[:, None]


def test_what_a_subject_stands_on_is_left_out() -> None:
    """Colour cannot part the two: shape has to."""
    pairs = [on_a_block(i, 0.4 + 0.1 * i) for i in range(3)]
    for mask, (_, truth) in zip(
        subject_masks([photo for photo, _ in pairs], [None] * 3), pairs, strict=True
    ):
        assert overlap(mask, truth) > 0.75


def test_many_photos_and_none() -> None:
    photos = [scene(i)[0] for i in range(TOGETHER + 1)]
    assert len(subject_masks(photos, [None] * len(photos))) == TOGETHER + 1
    assert subject_masks([], []) == []


def test_alpha_is_taken_as_it_is() -> None:
    photo, truth = scene(1)
    alpha = truth.astype(np.float32)
    assert overlap(subject_masks([photo], [alpha])[0], truth) > 0.97


@pytest.mark.parametrize("size", [(64, 64), (400, 60), (60, 400), (33, 32), (6400, 64)])
def test_plain_pictures_give_finite_masks(size: tuple[int, int]) -> None:
    flat = Image.new("RGB", size, (90, 90, 90))
    for mask in subject_masks([flat, flat], [None, None]):
        assert np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1


def test_lab_of_known_colours() -> None:
    rgb = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8)
    wanted = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]]
    assert np.abs(srgb_to_lab(rgb)[0] - np.array(wanted)).max() < 0.5


def test_components_number_the_pieces() -> None:
    solid = np.zeros((20, 20), bool)
    solid[2:5, 2:5] = True
    solid[10, 3:18] = solid[10:18, 17] = solid[17, 5:18] = True  # a long hook
    solid[5, 5] = True  # touches the first only at a corner
    labels, count = components(solid)
    assert count == 3 and (labels > 0).sum() == solid.sum()
    assert len(np.unique(labels[2:5, 2:5])) == 1
    assert labels[10, 3] == labels[17, 5] != labels[2, 2]
    assert components(np.ones((4, 4), bool))[1] == 1
    assert components(np.zeros((4, 4), bool))[1] == 0


def test_enclosed_fills_a_ring_but_not_a_cup() -> None:
    ring = np.zeros((21, 21), np.float32)
    ring[5:16, 5:16] = 1
    ring[7:14, 7:14] = 0
    assert enclosed(ring)[10, 10] > 0.8 and enclosed(ring)[2, 10] == 0
    ring[5:7] = 0
    assert enclosed(ring)[10, 10] == 0


def test_random_walk_spreads_inside_edges_only() -> None:
    chance = np.full((16, 16), 0.5, np.float32)
    chance[8, 4] = 1.0
    chance[8, 12] = 0.0
    right, down = np.ones((16, 15), np.float32), np.ones((15, 16), np.float32)
    right[:, 7] = 0  # a wall between columns 7 and 8
    got = random_walk(chance, right, down)
    assert got[2, 2] > 0.501 and got[2, 13] < 0.499
    assert got[:, :8].min() > got[:, 8:].max()


def test_sharpen_parts_two_levels() -> None:
    mask = np.full((10, 10), 0.3, np.float32)
    mask[:4] = 0.6
    got = sharpen(mask)
    assert got[:4].min() > 0.5 > got[4:].max()


@pytest.mark.parametrize("side", [96, 600])
def test_refined_mask_snaps_to_the_edge(side: int) -> None:
    pixels = np.full((side, side, 3), (40, 90, 160), np.uint8)
    edge = side // 2
    pixels[:, edge:] = (200, 80, 40)
    ramp = np.clip((np.arange(side) - edge) / (0.1 * side) + 0.5, 0, 1).astype(np.float32)
    got = refine_mask(Image.fromarray(pixels), np.tile(ramp, (side, 1)))
    assert got.shape == (side, side)
    step = got[side // 2, edge + 1] - got[side // 2, edge - 2]
    assert step > 1.25 * (ramp[edge + 1] - ramp[edge - 2])
    assert got[:, : edge - side // 10].max() < 0.05 and got[:, edge + side // 10 :].min() > 0.95
