"""Who teaches which prompts of the pool."""

from functools import partial

import pytest
import torch
from accelerate import Accelerator

from lfsd.adapter import STUDENT, TEACHER, Adapter
from lfsd.base import BaseModel
from lfsd.pool import encode_prompts, make_pool
from lfsd.settings import Settings
from tests.tiny import tiny_base

GROUPS = {
    "earlier": ["a photo of a red cat", "a red cat"],  # any words do: the adapter knows no token
    "class": ["a photo of a dog", "a photo of a cat"],
    "empty": [""],
}
TAUGHT_BY_PREVIOUS = {
    "previous": {*GROUPS["earlier"], *GROUPS["class"], ""},
    "base": set(),
    "both": {*GROUPS["earlier"]},
}


@pytest.mark.parametrize("trajectory", ["teacher", "student"])
@pytest.mark.parametrize("teacher", ["previous", "base", "both"])
@pytest.mark.parametrize(("entries", "points"), [(100, 3), (9, 2)])
def test_every_prompt_has_its_teacher(
    teacher: str, trajectory: str, entries: int, points: int
) -> None:
    torch.manual_seed(0)
    settings = Settings(
        rank=4,
        targets=("attn2", "ff"),
        teacher=teacher,  # type: ignore[arg-type]
        trajectory=trajectory,  # type: ignore[arg-type]
        distill_steps=3,
        pool_size=8,
        resolution=16,
    )
    base = BaseModel.load(tiny_base("pocket"), device="cpu", precision="float32")
    adapter = Adapter(base, settings)
    for moved in (adapter.snapshot_teacher, lambda: None):  # the student has moved on since
        for parameter in adapter.parameters(STUDENT):
            parameter.data.normal_(0, 0.2)
        moved()
    prompts = encode_prompts(base, [p for group in GROUPS.values() for p in group])

    rng = torch.Generator().manual_seed(1)
    pool = make_pool(adapter, Accelerator(cpu=True), prompts, GROUPS, entries, 0, rng)

    assert len(pool.t) == 8 * points
    # added into the weights, as float32 walks do, or the two round apart
    walked_merged = partial(adapter.merged, TEACHER)
    as_previous = walked_merged if trajectory == "teacher" else adapter.as_teacher
    names = {prompts.names[i] for i in pool.prompt.tolist()}
    assert names == {*prompts.names}
    for latents, t, which, said in zip(*pool, strict=True):
        previous = prompts.names[which] in TAUGHT_BY_PREVIOUS[teacher]
        asked = (latents[None], t[None], prompts.states[which[None]])
        with as_previous() if previous else adapter.as_base():
            right = base.predict(*asked)[0]
        with adapter.as_base() if previous else adapter.as_teacher():
            wrong = base.predict(*asked)[0]
        torch.testing.assert_close(said, right, rtol=1e-3, atol=1e-4)
        assert not torch.allclose(said, wrong, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("timesteps", "middle"), [("shapes", 0.7), ("uniform", 0.5)])
def test_points_of_every_trajectory_are_kept_where_timesteps_says(
    timesteps: str, middle: float
) -> None:
    settings = Settings(
        rank=4,
        targets=("attn2",),
        pool_size=12,
        resolution=16,
        timesteps=timesteps,  # type: ignore[arg-type]
    )
    base = BaseModel.load(tiny_base("pocket"), device="cpu", precision="float32")
    adapter = Adapter(base, settings)
    prompts = encode_prompts(base, GROUPS["class"])
    groups = {"class": GROUPS["class"]}

    rng = torch.Generator().manual_seed(1)
    pool = make_pool(adapter, Accelerator(cpu=True), prompts, groups, 120, 0, rng)

    assert len(pool.t) == 120
    assert torch.bincount(pool.prompt).tolist() == [60, 60]
    placed = pool.t / base.num_train_timesteps
    assert ((0.4 <= placed) & (placed < 0.9)).float().mean() == pytest.approx(middle, abs=0.05)
