"""A picture that is watched while it takes shape."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lfsd import live
from lfsd.base import BaseModel
from lfsd.events import Event, Preview
from lfsd.generate import generate
from lfsd.live import LivePicture
from lfsd.sampler import Sampling


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(live, "time", made)
    return made


@pytest.mark.usefixtures("clock")
def test_it_comes_nearer_to_the_picture_and_changes_nothing(
    base: BaseModel, tmp_path: Path
) -> None:
    path = tmp_path / "live.png"
    seen: list[np.ndarray] = []
    told: list[int] = []

    def heard(event: Event) -> None:
        if isinstance(event, Preview):
            assert event.path == path
            told.append(event.step)
            with Image.open(path) as image:
                seen.append(np.asarray(image).astype(int))

    sampling = Sampling(steps=5, sampler="ddim")
    watched = generate(
        base, None, "a V1 cat", n=2, seed=3, sampling=sampling, on_event=heard, live=path
    )
    alone = generate(base, None, "a V1 cat", n=2, seed=3, sampling=sampling)
    final = np.asarray(watched[0].image).astype(int)
    np.testing.assert_array_equal(final, np.asarray(alone[0].image))
    assert told == [1, 2, 3, 4, 5]
    away = [np.abs(picture - final).mean() for picture in seen]
    assert away[-1] < 2 and away[-1] < 0.5 * away[0]
    assert [p.name for p in tmp_path.iterdir()] == ["live.png"], "no draft is left"


def test_a_tenth_of_the_time_goes_into_it(pocket: BaseModel, tmp_path: Path, clock: Clock) -> None:
    decoding = 0.0

    def clean() -> torch.Tensor:
        nonlocal decoding
        clock.now += 2.0
        decoding += 2.0
        side = pocket.resolution // pocket.vae_scale
        return torch.zeros(1, pocket.latent_channels, side, side)

    shown: list[Event] = []
    taking_shape = LivePicture(pocket, tmp_path / "live.png", shown.append)
    for step in range(100):
        clock.now += 1.0
        taking_shape.show(step, clean)
    assert 4 <= len(shown) <= 6
    assert decoding <= 0.1 * clock.now + 2.0
