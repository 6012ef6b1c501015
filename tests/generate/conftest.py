from collections.abc import Callable

import numpy as np
import pytest

from lfsd.attention import install_processors
from lfsd.base import BaseModel
from lfsd.context import ConceptContext
from lfsd.generate import latent_shape
from lfsd.tokens import insert_token
from tests.tiny import LAYOUTS, tiny_base


def loaded(layout: str) -> BaseModel:
    """A tiny base that knows V1 cat and V2 dog."""
    base = BaseModel.load(tiny_base(layout), device="cpu", precision="float32")
    install_processors(base.unet)
    for token, noun in (("V1", "cat"), ("V2", "dog")):
        for rows in insert_token(base, token, noun):
            rows.data += 0.2 * len(base.tokens)
            rows.requires_grad_(False)
    return base


@pytest.fixture(scope="session", params=LAYOUTS)
def base(request: pytest.FixtureRequest) -> BaseModel:
    """Each layout in turn."""
    return loaded(request.param)


@pytest.fixture(scope="session")
def pocket() -> BaseModel:
    return loaded("pocket")


ContextMaker = Callable[..., ConceptContext]


@pytest.fixture
def make_context() -> ContextMaker:
    """make_context(base, token, noun, count, mask=None) with latents that differ by token."""

    def make(
        base: BaseModel,
        token: str = "V1",
        noun: str = "cat",
        count: int = 1,
        mask: np.ndarray | None = None,
    ) -> ConceptContext:
        rng = np.random.default_rng(len(noun) + ord(token[-1]))
        channels, height, width = latent_shape(base)
        latents = rng.normal(size=(count, channels, height, width)).astype(np.float32)
        masks = None if mask is None else np.repeat(mask[None].astype(np.float32), count, 0)
        return ConceptContext(token, noun, latents, masks)

    return make
