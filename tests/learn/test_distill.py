"""DFKD: the trajectory is the paper's, the pool is the trajectory, the loss is between
predictions."""

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from lfsd.distill import Pool, Schedule, clean_and_noise, ddpm_step, dfkd, fill_pool, kd_loss

KINDS = ("epsilon", "v_prediction", "sample")


def scheduler(kind: str, spacing: str = "trailing") -> DDPMScheduler:
    return DDPMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=kind,
        clip_sample=False,
        timestep_spacing=spacing,
    )


def schedule(steps: int = 25) -> Schedule:
    noise = scheduler("epsilon")
    noise.set_timesteps(steps)
    t = [int(i) for i in noise.timesteps]
    alphas = [float(noise.alphas_cumprod[i]) for i in t]
    return Schedule(t, alphas, [*alphas[1:], 1.0])


def teacher(z: Tensor, t: int) -> Tensor:
    return torch.tanh(z + t / 1000)


def student(z: Tensor, t: int) -> Tensor:
    return torch.tanh(z - t / 1000)


@pytest.mark.parametrize("kind", KINDS)
def test_step_is_the_ddpm_step_of_diffusers(kind: str) -> None:
    theirs = scheduler(kind)
    theirs.set_timesteps(25)
    plan = schedule()
    for i, t in enumerate(plan.timesteps):
        z, pred = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(i))
        expected = theirs.step(pred, t, z, generator=torch.Generator().manual_seed(t)).prev_sample
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(t))
        x, _ = clean_and_noise(pred, z, plan.alphas[i], kind)
        found = ddpm_step(z, x, plan.alphas[i], plan.next_alphas[i], noise)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def walk(trajectory: str) -> list[Tensor]:
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(3, 4, 8, 8, generator=rng)
    points = list(dfkd(teacher, student, z, schedule(), "v_prediction", rng, trajectory))
    assert [p.t for p in points] == schedule().timesteps
    for point in points:
        # both are asked about the same latent
        assert torch.equal(point.teacher, teacher(point.latents, point.t))
        assert point.student is not None
        assert torch.equal(point.student, student(point.latents, point.t))
    assert torch.equal(points[0].latents, z), "the trajectory starts from pure noise"
    return [p.latents for p in points]


def test_next_latent_is_the_teachers_step_and_the_students_in_the_ablation() -> None:
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(3, 4, 8, 8, generator=rng)
    alone = [p.latents for p in dfkd(teacher, None, z, schedule(), "v_prediction", rng)]
    assert all(torch.equal(a, b) for a, b in zip(walk("teacher"), alone, strict=True))
    other = walk("student")
    assert torch.equal(other[0], alone[0])
    assert not torch.allclose(other[1], alone[1])


def test_pool_holds_what_the_unpooled_walk_sees() -> None:
    def asked(z: Tensor, t: int, prompts: Tensor) -> Tensor:
        return teacher(z, t) * prompts.view(-1, 1, 1, 1)

    pool = fill_pool(
        asked,
        None,
        [1, 2, 3],
        (4, 8, 8),
        schedule(),
        "epsilon",
        torch.Generator().manual_seed(5),
        batch=2,
    )
    assert len(pool.t) == 75
    assert sorted(set(pool.t.tolist()), reverse=True) == schedule().timesteps
    for z, t, prompt, pred in zip(*pool, strict=True):
        again = asked(z[None], int(t), prompt[None])[0]
        torch.testing.assert_close(pred, again)
    rng = torch.Generator().manual_seed(5)
    z = torch.randn(2, 4, 8, 8, generator=rng)
    first = list(
        dfkd(lambda x, t: asked(x, t, torch.tensor([1, 2])), None, z, schedule(), "epsilon", rng)
    )
    assert torch.equal(pool.latents[:50], torch.cat([p.latents for p in first]))


def test_pool_keeps_the_places_it_is_told() -> None:
    def asked(z: Tensor, t: int, prompts: Tensor) -> Tensor:
        return teacher(z, t) * prompts.view(-1, 1, 1, 1)

    def pool(keep: Tensor | None) -> Pool:
        rng = torch.Generator().manual_seed(5)
        shape = (4, 8, 8)
        return fill_pool(
            asked, None, [1, 2, 3], shape, schedule(), "epsilon", rng, batch=2, keep=keep
        )

    whole, some = pool(None), pool(torch.tensor([[0, 7], [24, 3], [9, 9]]))
    of = {1: (0, 7), 2: (24, 3), 3: (9, 9)}
    for prompt, places in of.items():
        mine, all_mine = some.prompt == prompt, whole.prompt == prompt
        for kept, walked in zip(some, whole, strict=True):
            assert torch.equal(kept[mine], walked[all_mine][list(places)])


@pytest.mark.parametrize("kind", KINDS)
def test_noise_space_is_the_difference_of_the_noises_meant(kind: str) -> None:
    z, mine, theirs = torch.randn(3, 2, 4, 8, 8)
    a = torch.tensor([0.3, 0.8])
    wide = a.view(-1, 1, 1, 1)
    difference = clean_and_noise(mine, z, wide, kind)[1] - clean_and_noise(theirs, z, wide, kind)[1]
    expected = difference.square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(kd_loss(mine, theirs, a, kind, "noise"), expected)
    native = (mine - theirs).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(kd_loss(mine, theirs, a, kind, "native"), native)
