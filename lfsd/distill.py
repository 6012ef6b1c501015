"""Data-free knowledge distillation (DFKD) of arXiv 2411.05544, abstract and Fig. 5.

From pure noise a 25 step DDPM trajectory is walked. At every t teacher and student see the SAME
latent
z_t*, the loss is between their predictions, and the next latent is the TEACHER's step. No earlier
photo
and no decoded picture is involved. As the teacher is fixed during a session, its latents and
predictions
are pooled ahead and used again; the student's side then is one more part of an ordinary batch.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lfsd.base import BaseModel

Predict = Callable[[Tensor, int], Tensor]
"""(latents [B,C,h,w], t) -> prediction [B,C,h,w] in the model's own parametrisation."""


PredictFor = Callable[[Tensor, int, Tensor], Tensor]
"""The same, with the indices [B] of the prompts to predict under."""


class Schedule(NamedTuple):
    """Timesteps from noise to picture, and alpha-bar at each and at the one after it."""

    timesteps: list[int]
    alphas: list[float]
    next_alphas: list[float]


class Point(NamedTuple):
    """One place of a trajectory: latents z_t* and what teacher and student make of them."""

    t: int
    latents: Tensor
    teacher: Tensor
    student: Tensor | None


class Pool(NamedTuple):
    """Teacher latents [N,C,h,w], timesteps [N], index into the prompts [N], predictions
    [N,C,h,w]."""

    latents: Tensor
    t: Tensor
    prompt: Tensor
    teacher: Tensor


def ddpm_schedule(base: BaseModel, steps: int) -> Schedule:
    """The base's own placing of `steps` timesteps (its `timestep_spacing`)."""
    base.ddpm.set_timesteps(steps)
    timesteps = [int(t) for t in base.ddpm.timesteps]
    alphas = [float(base.alphas_cumprod[t]) for t in timesteps]
    return Schedule(timesteps, alphas, [*alphas[1:], 1.0])


def clean_and_noise(pred: Tensor, z: Tensor, a: Tensor | float, kind: str) -> tuple[Tensor, Tensor]:
    """(x, noise) that a prediction of `kind` means at alpha-bar `a`, with z = sqrt(a) x + sqrt(1-a)
    noise."""
    a = torch.as_tensor(a, dtype=z.dtype, device=z.device)
    signal, sigma = a.sqrt(), (1 - a).sqrt()
    if kind == "epsilon":
        return (z - sigma * pred) / signal, pred
    if kind == "sample":
        return pred, (z - signal * pred) / sigma
    return signal * z - sigma * pred, sigma * z + signal * pred


def prediction_of(x: Tensor, z: Tensor, a: Tensor | float, kind: str) -> Tensor:
    """The prediction of `kind` at alpha-bar `a` that means the picture x in z: the way back."""
    a = torch.as_tensor(a, dtype=z.dtype, device=z.device)
    signal, sigma = a.sqrt(), (1 - a).sqrt()
    noise = (z - signal * x) / sigma
    return {"epsilon": noise, "sample": x}.get(kind, signal * noise - sigma * x)


def ddpm_step(z: Tensor, x: Tensor, a: float, next_a: float, noise: Tensor) -> Tensor:
    """Ancestral step from alpha-bar `a` to `next_a` (DDPM, arXiv 2006.11239, eq. 6 and 7)."""
    ratio = a / next_a
    mean = (next_a**0.5 * (1 - ratio) * x + ratio**0.5 * (1 - next_a) * z) / (1 - a)
    variance = (1 - next_a) / (1 - a) * (1 - ratio)
    return mean + variance**0.5 * noise


def dfkd(
    teacher: Predict,
    student: Predict | None,
    z: Tensor,
    schedule: Schedule,
    kind: str,
    generator: torch.Generator,
    trajectory: Literal["teacher", "student"] = "teacher",
) -> Iterator[Point]:
    """Walk from pure noise z [B,C,h,w]; yields one Point per t. `student` may be None on teacher's
    paths.

    `trajectory="student"` follows the student's step instead: the ablation of Fig. 5.
    """
    for t, a, next_a in zip(*schedule, strict=True):
        theirs = teacher(z, t)
        mine = None if student is None else student(z, t)
        yield Point(t, z, theirs, mine)
        walked = theirs if trajectory == "teacher" else mine
        assert walked is not None, "following the student needs a student"
        noise = torch.randn(z.shape, generator=generator).to(z)
        x, _ = clean_and_noise(walked.detach(), z, a, kind)
        z = ddpm_step(z, x, a, next_a, noise)


def kd_loss(
    student: Tensor, teacher: Tensor, a: Tensor, kind: str, space: Literal["native", "noise"]
) -> Tensor:
    """L_KD per sample [B]: mean squared difference of two predictions made of the same latents.

    As noise, a difference of v weighs alpha-bar and one of x alpha-bar / (1 - alpha-bar).
    """
    loss = (student - teacher).square().mean(dim=(1, 2, 3))
    if space == "noise" and kind == "v_prediction":
        return a * loss
    if space == "noise" and kind == "sample":
        return a / (1 - a) * loss
    return loss


def fill_pool(
    teacher: PredictFor,
    student: PredictFor | None,
    which: Sequence[int],
    shape: tuple[int, int, int],
    schedule: Schedule,
    kind: str,
    generator: torch.Generator,
    *,
    keep: Tensor | None = None,
    trajectory: Literal["teacher", "student"] = "teacher",
    batch: int = 16,
    device: torch.device | str = "cpu",
) -> Pool:
    """Walk one trajectory for each prompt in `which`, `batch` at a time.

    `shape` is a latent's [C,h,w]. `keep` [len(which),n] says which places of the schedule to keep
    of each, the noisiest being 0; without it all are kept. The pool holds as many entries.
    """
    if keep is None:
        keep = torch.arange(len(schedule.timesteps)).expand(len(which), -1)
    parts: list[Pool] = []
    for begin in range(0, len(which), batch):
        prompts = torch.tensor(which[begin : begin + batch])
        z = torch.randn((len(prompts), *shape), generator=generator).to(device)

        def speak(model: PredictFor, prompts: Tensor = prompts) -> Predict:
            return lambda latents, t: model(latents, t, prompts)

        follow = speak(student) if student is not None and trajectory == "student" else None
        points = list(dfkd(speak(teacher), follow, z, schedule, kind, generator, trajectory))
        places = keep[begin : begin + batch].T
        row = torch.arange(len(prompts)).expand_as(places)
        walked = Pool(
            torch.stack([p.latents for p in points]),
            torch.tensor([p.t for p in points])[:, None].expand(-1, len(prompts)),
            prompts.expand(len(points), -1),
            torch.stack([p.teacher for p in points]),
        )
        parts.append(Pool(*(field[places, row].flatten(0, 1) for field in walked)))
    return Pool(*(torch.cat(field) for field in zip(*parts, strict=True)))
