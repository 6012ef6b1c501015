"""Which timesteps photos are noised to."""

import torch

from lfsd.data import PhotoLatents, draw_batch
from lfsd.settings import Settings

TOTAL = 1000


def drawn(timesteps: str, size: int = 4, batches: int = 400) -> torch.Tensor:
    """Timesteps [batches, size] as shares of the schedule."""
    latents, weights = torch.zeros(2, 2, 1, 4, 4), torch.ones(2, 2, 4, 4)
    data = PhotoLatents(latents, weights, [["a"], ["b"]], 2, None)
    settings = Settings(timesteps=timesteps)
    keys = [("V1", "step", i) for i in range(batches)]
    return torch.stack([draw_batch(data, settings, k, TOTAL, size).t for k in keys]) / TOTAL


def share(t: torch.Tensor, low: float, high: float) -> float:
    return float(((t >= low) & (t < high)).float().mean())


def test_uniform_is_uniform_and_shapes_has_three_quarters_in_the_middle() -> None:
    even, shapes = drawn("uniform"), drawn("shapes")
    for t, early, middle, late in ((even, 0.4, 0.5, 0.1), (shapes, 0.2, 0.75, 0.05)):
        assert abs(share(t, 0, 0.4) - early) < 0.02
        assert abs(share(t, 0.4, 0.9) - middle) < 0.02
        assert abs(share(t, 0.9, 1.01) - late) < 0.02
        assert t.min() >= 0 and t.max() < 1


def test_every_batch_has_one_of_each_stratum() -> None:
    """Three of four rows in the middle, in every batch and not only on average."""
    inside = ((drawn("shapes") >= 0.4) & (drawn("shapes") < 0.9)).sum(1)
    assert set(inside.tolist()) <= {2, 3, 4} and float((inside == 3).float().mean()) > 0.7
