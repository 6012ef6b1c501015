"""Cut-outs without a network, and the superpixels they start from."""

import numpy as np
import pytest

from lfsd.lab import srgb_to_lab
from recipes.pocket.cutting import subject_mask
from recipes.pocket.superpixels import geodesic, regions
from tests.photos.pictures import scene
from tests.photos.test_saliency import overlap


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_disc_is_found(seed: int) -> None:
    photo, truth = scene(seed, radius=0.28)
    assert overlap(subject_mask(photo), truth) > 0.9


def test_regions_and_geodesics() -> None:
    """Left and right half differ: far apart across the border, close within."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 255
    r = regions(srgb_to_lab(pixels), count=24)
    assert r.area.sum() == pytest.approx(1, abs=1e-5)
    assert set(np.unique(r.labels)) == set(range(len(r.lab)))
    far = geodesic(r, link_frame=False)
    dark, light = np.flatnonzero(r.lab[:, 0] < 1), np.flatnonzero(r.lab[:, 0] > 99)
    assert len(dark) + len(light) == len(r.lab)
    assert far[np.ix_(dark, dark)].max() < 1 and far[np.ix_(dark, light)].min() > 90
