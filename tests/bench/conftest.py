"""Two sessions on a tiny base, so short that every method can be tried."""

import pytest

from benchmarks.lifelong.protocol import Lesson, Protocol, Session
from lfsd.base import BaseModel
from lfsd.measure import Plan
from lfsd.settings import Settings
from tests.learn.photos import disc_photos
from tests.tiny import tiny_base

TINY = {
    "rank": 4,
    "alpha": 4.0,
    "steps": 2,
    "batch": 2,
    "pool_size": 2,
    "distill_steps": 2,
    "lr_adapter": 1e-2,
    "guidance_dropout": 0.0,
}
NOUNS = ("cat", "dog")


@pytest.fixture(scope="session")
def base() -> BaseModel:
    """One tiny base; learners leave it as they found it."""
    return BaseModel.load(tiny_base("pocket"), device="cpu", precision="float32")


@pytest.fixture
def settings() -> Settings:
    return Settings(**TINY)


@pytest.fixture(scope="session")
def sessions() -> list[Session]:
    colours = ((220, 60, 40), (40, 60, 220))
    return [
        Session(i + 1, f"V{i + 1}", noun, disc_photos(count=2, colour=colours[i]))
        for i, noun in enumerate(NOUNS)
    ]


@pytest.fixture(scope="session")
def protocol() -> Protocol:
    return Protocol(
        name="tiny",
        about="two sessions",
        lessons=tuple(Lesson(i + 1, f"V{i + 1}", n, "sample", n) for i, n in enumerate(NOUNS)),
        methods=("all",),
        seeds=(0,),
        settings=TINY,
        plan=Plan(pictures=2, scenes=1, steps=2, drift_steps=2, drift_every=1),
        every=1,
        sheet=("a photo of a {}",),
    )
