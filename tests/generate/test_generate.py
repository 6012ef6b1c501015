"""Seeds, batches, guidance, samplers and provenance."""

import json

import numpy as np
import pytest
import torch

from lfsd.base import BaseModel
from lfsd.errors import ResourceError
from lfsd.events import Event, Notice
from lfsd.events import Sampling as SamplingEvent
from lfsd.generate import Picture, generate, in_batches, make_images
from lfsd.sampler import Sampling, build_scheduler, guided, picture_noise
from tests.generate.conftest import ContextMaker, loaded

QUICK = Sampling(steps=4, guidance=3.0)


def pixels(pictures: list[Picture]) -> np.ndarray:
    return np.stack([np.asarray(p.image) for p in pictures]).astype(int)


@pytest.mark.parametrize("icgen", ["attend", "canvas", "off"])
def test_same_seed_twice_gives_identical_pixels(
    base: BaseModel, make_context: ContextMaker, icgen: str
) -> None:
    def once() -> np.ndarray:
        sampling = Sampling(steps=3, icgen=icgen)  # type: ignore[arg-type]
        return pixels(
            generate(
                base,
                None,
                "a V1 cat on a beach",
                n=2,
                seed=5,
                sampling=sampling,
                contexts=[make_context(base)],
            )
        )

    first = once()
    np.testing.assert_array_equal(first, once())
    assert first.shape == (2, base.resolution, base.resolution, 3)
    assert (first[0] != first[1]).mean() > 0.1


@pytest.mark.parametrize("sampler", ["dpm++", "ddim"])
def test_a_picture_does_not_depend_on_its_batch(
    base: BaseModel, make_context: ContextMaker, sampler: str
) -> None:
    def made(n: int, seed: int, batch: int) -> np.ndarray:
        sampling = Sampling(steps=4, sampler=sampler, batch=batch)  # type: ignore[arg-type]
        context = [make_context(base, count=2)]
        return pixels(
            generate(base, None, "a V1 cat", n=n, seed=seed, sampling=sampling, contexts=context)
        )

    together = made(3, 10, 4)
    # rounding differs between batch sizes, by a grey level here and there
    assert np.abs(made(3, 10, 1) - together).max() <= 1
    assert np.abs(made(1, 12, 4)[0] - together[2]).max() <= 1


def test_contexts_change_the_picture(base: BaseModel, make_context: ContextMaker) -> None:
    def made(**options: object) -> np.ndarray:
        sampling = Sampling(steps=4, **options)  # type: ignore[arg-type]
        context = [make_context(base)]
        return pixels(generate(base, None, "a V1 cat", seed=1, sampling=sampling, contexts=context))

    off = made(icgen="off")
    assert (made(icgen="attend", context_strength=1.0, context_fraction=1.0) != off).mean() > 0.05
    assert (made(icgen="canvas") != off).mean() > 0.05
    np.testing.assert_array_equal(made(icgen="attend", context_strength=0.0), off)


def test_prompt_negative_guidance_and_steps_all_matter(pocket: BaseModel) -> None:
    def made(prompt: str = "a cat", **options: object) -> np.ndarray:
        sampling = Sampling(**{"steps": 4, **options})  # type: ignore[arg-type]
        return pixels(generate(pocket, None, prompt, seed=1, sampling=sampling))

    plain = made()
    for other in (
        made("a red dog"),
        made(negative="red"),
        made(guidance=1.0),
        made(guidance=9.0),
        made(guidance_rescale=0.0),
        made(guidance_fraction=0.9),
        made(steps=6),
        made(sampler="ddim"),
    ):
        assert (plain != other).any()


@pytest.mark.parametrize(("layout", "usual"), [("sd1", 0.0), ("sd2", 0.7)])
def test_models_that_predict_v_are_rescaled(layout: str, usual: float) -> None:
    base = loaded(layout)

    def made(rescale: float | None) -> np.ndarray:
        sampling = Sampling(steps=3, guidance=8.0, guidance_rescale=rescale)
        return pixels(generate(base, None, "a cat", seed=1, sampling=sampling))

    np.testing.assert_array_equal(made(None), made(usual))
    assert (made(usual) != made(0.7 - usual)).any()


def watched(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each forward of the UNet has, from now on."""
    rows: list[int] = []
    predict = base.predict
    monkeypatch.setattr(
        base, "predict", lambda x, *a, **k: rows.append(len(x)) or predict(x, *a, **k)
    )
    return rows


def test_guidance_one_needs_no_unconditional_branch(
    pocket: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = watched(pocket, monkeypatch)
    make_images(pocket, ["a cat"] * 2, [0, 1], Sampling(steps=2, guidance=1.0))
    whole = Sampling(steps=2, guidance=2.0, guidance_fraction=1.0)
    make_images(pocket, ["a cat"] * 2, [0, 1], whole)
    assert rows == [2, 2, 4, 4]


def test_guidance_ends_where_contexts_begin_on_a_narrow_unet_alone(
    pocket: BaseModel, make_context: ContextMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = watched(pocket, monkeypatch)

    def made(**options: float) -> dict[str, object]:
        rows.clear()
        sampling = Sampling(steps=4, guidance=3.0, **options)  # type: ignore[arg-type]
        context = [make_context(pocket, count=4)]
        drawn = generate(pocket, None, "a V1 cat", seed=0, sampling=sampling, contexts=context)
        return drawn[0].provenance

    assert made()["guidance_fraction"] == 0.5
    assert rows == [2, 2, 1 + 4, 1 + 4]
    made(guidance_fraction=0.75, context_fraction=0.25)
    assert rows == [2, 2, 2, 1 + 4]
    made(guidance_fraction=0.0)
    assert rows == [1, 1, 1 + 4, 1 + 4]
    monkeypatch.setattr(BaseModel, "narrow", False)
    assert made()["guidance_fraction"] == 1.0
    assert rows == [2, 2, 2 + 4, 2 + 4]


def test_some_contexts_ride_only_in_the_first_batch_and_their_share_of_steps(
    pocket: BaseModel, make_context: ContextMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = watched(pocket, monkeypatch)
    sampling = Sampling(steps=4, context_fraction=0.5, batch=2, contexts=3)
    context = [make_context(pocket, count=4)]
    generate(pocket, None, "a V1 cat", n=4, seed=0, sampling=sampling, contexts=context)
    assert rows == [4, 4, 5, 5, 4, 4, 2, 2]


def test_prompts_may_differ_within_a_batch(pocket: BaseModel) -> None:
    mixed = make_images(pocket, ["a cat", "a dog", "a cat"], [1, 2, 3], QUICK)
    alone = [make_images(pocket, [p], [s], QUICK)[0] for p, s in (("a cat", 1), ("a dog", 2))]
    for a, b in zip(mixed, alone, strict=False):
        assert np.abs(np.asarray(a).astype(int) - np.asarray(b)).max() <= 1
    with pytest.raises(ValueError, match="seeds"):
        make_images(pocket, ["a cat"], [1, 2], QUICK)


def test_schedules(base: BaseModel) -> None:
    for name in ("dpm++", "ddim"):
        scheduler = build_scheduler(base.scheduler_config, name)
        scheduler.set_timesteps(10)
        torch.testing.assert_close(scheduler.alphas_cumprod, base.alphas_cumprod.cpu())
        assert scheduler.config.prediction_type == base.prediction_type
        if base.prediction_type == "v_prediction":
            assert scheduler.config.timestep_spacing == "trailing"
            assert int(scheduler.timesteps[0]) == base.num_train_timesteps - 1
        assert not scheduler.config.get("clip_sample", False)


def test_starting_noise_belongs_to_its_seed() -> None:
    together = picture_noise(4, 3, (2, 4, 4))
    torch.testing.assert_close(together[2], picture_noise(6, 1, (2, 4, 4))[0])
    assert not torch.equal(together[0], together[1])
    assert picture_noise(2**40, 1, (1, 2, 2)).shape == (1, 1, 2, 2)


def test_rescaled_guidance_has_the_conditional_s_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    cond, uncond = torch.randn(2, 2, 4, 8, 8, generator=generator)
    torch.testing.assert_close(guided(cond, uncond, 1.0, 0.0), cond)
    out = guided(cond, uncond, 7.0, 1.0)
    torch.testing.assert_close(out.std((1, 2, 3)), cond.std((1, 2, 3)))


def test_memory_running_out_halves_the_batch_and_says_so() -> None:
    events: list[Event] = []
    tried: list[int] = []

    def make(start: int, count: int) -> list[int]:
        tried.append(count)
        if count > 2:
            raise torch.OutOfMemoryError("no")
        return list(range(start, start + count))

    assert in_batches(5, 5, make, events.append) == [0, 1, 2, 3, 4]
    assert tried == [5, 2, 2, 1]
    assert [type(e) for e in events] == [Notice]

    def never(start: int, count: int) -> list[int]:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(ResourceError, match="one picture"):
        in_batches(2, 2, never)

    def broken(start: int, count: int) -> list[int]:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes"):
        in_batches(2, 2, broken)


def test_provenance_and_progress(pocket: BaseModel, make_context: ContextMaker) -> None:
    events: list[Event] = []
    made = generate(
        pocket,
        None,
        "a V1 cat and a V2 dog",
        n=3,
        seed=40,
        sampling=Sampling(steps=2, negative="red", batch=2),
        contexts=[make_context(pocket, count=2), make_context(pocket, "V2", "dog")],
        session={"id": "abcd", "number": 2},
        on_event=events.append,
    )
    assert [p.seed for p in made] == [40, 41, 42]
    assert all(p.concepts == ("V1", "V2") for p in made)
    told = made[1].provenance
    assert json.loads(json.dumps(told)) == told
    assert told["seed"] == 41 and told["prompt"] == "a V1 cat and a V2 dog"
    assert told["concepts"] == ["V1", "V2"] and told["contexts"] == {"V1": 2, "V2": 1}
    assert told["session"] == {"id": "abcd", "number": 2}
    assert told["base"]["sha256"] == pocket.ref.sha256
    assert (told["steps"], told["guidance"], told["negative"]) == (2, 5.0, "red")
    assert {"lfsd", "torch", "diffusers"} <= set(told["versions"])
    assert "batch" not in told
    steps = [(e.step, e.total) for e in events if isinstance(e, SamplingEvent)]
    assert steps[-1] == (6, 6) and steps == sorted(steps)


def test_without_a_seed_each_call_differs(pocket: BaseModel) -> None:
    seeds = {generate(pocket, None, "a cat", sampling=Sampling(steps=1))[0].seed for _ in range(3)}
    assert len(seeds) == 3
