"""Subject guidance: what it adds, when, and for which prompts."""

from typing import Any

import numpy as np
import pytest
import torch

from lfsd.base import BaseModel
from lfsd.events import ignore
from lfsd.generate import generate, make_images
from lfsd.judge import Judge
from lfsd.measure import Examiner, Plan, Subject
from lfsd.sampler import Sampling
from lfsd.subject_guidance import EVERY, GROUNDS, SubjectGuidance
from tests.generate.conftest import ContextMaker, loaded
from tests.tiny import tiny_base


def noisy(base: BaseModel, count: int) -> torch.Tensor:
    side = base.resolution // base.vae_scale
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, base.latent_channels, side, side, generator=generator)


@pytest.mark.parametrize("layout", ["pocket", "sdxl"])
@torch.no_grad()
def test_it_adds_the_subject_on_a_colour_less_the_colour(layout: str) -> None:
    base = loaded(layout)
    latents = noisy(base, 2)

    def predicted(prompt: str) -> torch.Tensor:
        return base.predict(latents, 500, base.encode_text([prompt] * 2))

    scene = SubjectGuidance(base, "V1 cat", 2.0).lead(["a V1 cat on a beach"] * 2)
    mixed = SubjectGuidance(base, "V1 cat", 2.0).lead(["a photo of a V1 cat", "a red V1 cat"])
    assert scene is not None and mixed is not None
    for turn, colour in enumerate([*GROUNDS, GROUNDS[0]]):
        subject = predicted(f"a photo of a V1 cat on a plain {colour} background")
        difference = 2 * (subject - predicted(f"a plain {colour} background"))
        assert difference.abs().amax((1, 2, 3)).min() > 1e-3
        torch.testing.assert_close(scene(turn, latents, 500), difference, rtol=1e-4, atol=1e-4)
        difference[0] = 0
        torch.testing.assert_close(mixed(turn, latents, 500), difference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "prompt",
    [
        "a photo of a V1 cat",
        "a V1 cat",
        "A picture of  V1 cat.",
        "V1 cat",
        "a photo of a V1 cat on a plain red background",
    ],
)
def test_a_prompt_it_was_learned_by_is_not_led(pocket: BaseModel, prompt: str) -> None:
    assert SubjectGuidance(pocket, "V1 cat", 2.0).lead([prompt]) is None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The turn of every question, from now on."""
    turns: list[int] = []
    at = SubjectGuidance._at

    def noted(self: SubjectGuidance, rows: list[int], turn: int, *rest: Any) -> torch.Tensor:
        turns.append(turn)
        return at(self, rows, turn, *rest)

    monkeypatch.setattr(SubjectGuidance, "_at", noted)
    return turns


def drawn(base: BaseModel, subject: str | None = "V1 cat", **options: Any) -> np.ndarray:
    sampling = Sampling(**{"steps": 4 * EVERY, **options})
    images = make_images(base, ["a V1 cat on a beach"] * 2, [3, 4], sampling, subject=subject)
    return np.stack([np.asarray(image) for image in images]).astype(int)


def test_every_third_guided_step_asks_anew(pocket: BaseModel, asked: list[int]) -> None:
    drawn(pocket)
    assert asked == [0, 1], "half of twelve steps are guided"
    asked.clear()
    drawn(pocket, guidance_fraction=1.0, batch=1)
    assert asked == [0, 1, 2, 3] * 2, "each picture by itself"


def test_it_changes_the_picture_the_more_the_stronger(pocket: BaseModel) -> None:
    without, usual = drawn(pocket, subject_guidance=0.0), drawn(pocket)
    np.testing.assert_array_equal(usual, drawn(pocket, subject_guidance=2.0))
    np.testing.assert_array_equal(without, drawn(pocket, subject=None))
    near = np.abs(drawn(pocket, subject_guidance=0.3) - without).mean()
    assert 0 < near < np.abs(usual - without).mean()


@pytest.mark.parametrize(
    "options",
    [{"subject": None}, {"subject_guidance": 0.0}, {"guidance": 1.0}, {"guidance_fraction": 0.0}],
)
def test_nothing_is_asked_without_need(
    pocket: BaseModel, asked: list[int], options: dict[str, Any]
) -> None:
    drawn(pocket, **options)
    assert asked == []


def test_a_wide_unet_is_not_led_unless_told(
    pocket: BaseModel, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseModel, "narrow", False)
    drawn(pocket)
    assert asked == []
    drawn(pocket, subject_guidance=1.0, steps=1)
    assert asked == [0]


def test_provenance_says_how_strongly(pocket: BaseModel) -> None:
    def made(subject: str | None = "V1 cat", **options: Any) -> tuple[object, bytes]:
        sampling = Sampling(steps=2, **options)
        [one] = generate(pocket, None, "a red V1 cat", seed=1, sampling=sampling, subject=subject)
        return one.provenance["subject_guidance"], one.image.tobytes()

    usual, without = made(), made(subject=None)
    assert usual[0] == 2.0 and without[0] == 0.0
    assert usual[1] != without[1]
    assert made(subject_guidance=1.5)[0] == 1.5


def test_a_canvas_is_led_too(
    pocket: BaseModel, make_context: ContextMaker, asked: list[int]
) -> None:
    def made(subject: str | None) -> bytes:
        sampling = Sampling(steps=2, icgen="canvas", context_fraction=1.0, negative="red")
        context = [make_context(pocket)]
        [one] = generate(
            pocket,
            None,
            "a red V1 cat",
            seed=1,
            sampling=sampling,
            contexts=context,
            subject=subject,
        )
        return one.image.tobytes()

    assert made("V1 cat") != made(None)
    assert asked == [0]


def test_the_report_s_scenes_are_led_and_nothing_else(pocket: BaseModel, asked: list[int]) -> None:
    judge = Judge.load(tiny_base("pocket"))
    subject = Subject("V1", "cat", 1, np.ones((1, 4), np.float32))
    run = Examiner(pocket, judge, Plan(pictures=1, scenes=1, steps=2), Sampling(), ignore, 0)
    run.concept(subject)
    run.class_noun("cat")
    assert asked == []
    run.scenes(subject)
    assert asked == [0]
