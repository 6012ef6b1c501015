"""The figures of a report, as functions of embeddings alone, and the report that holds them.

All embeddings are unit rows [n,d] of one judge. Cosines lie in -1..1, shares in 0..1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Cell = float | None


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of every row of a [n,d] with every row of b [m,d]: [n,m]."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"embeddings of two different judges: {a.shape[1]} and {b.shape[1]} wide")
    a = a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12)
    b = b / np.maximum(np.linalg.norm(b, axis=1, keepdims=True), 1e-12)
    return a @ b.T


def fidelity(generated: np.ndarray, photos: np.ndarray) -> float:
    """Mean cosine of generated pictures [n,d] to a concept's photos [m,d] (CLIP-I, DreamBooth)."""
    return float(cosines(generated, photos).mean())


def text_alignment(images: np.ndarray, texts: np.ndarray, labels: Sequence[int]) -> float:
    """Mean cosine of each picture [n,d] to its own prompt, texts[labels[i]] (CLIP-T)."""
    return float(cosines(images, texts)[np.arange(len(images)), list(labels)].mean())


def scene_accuracy(images: np.ndarray, texts: np.ndarray, labels: Sequence[int]) -> float:
    """Share of pictures whose own prompt is the nearest of all candidate texts."""
    return float((cosines(images, texts).argmax(1) == np.asarray(labels)).mean())


def paired_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Mean cosine of a[i] with b[i]: the same seed drawn by two models."""
    if a.shape != b.shape:
        raise ValueError("pictures of two models must pair up")
    return float(np.diagonal(cosines(a, b)).mean())


def toward(now: np.ndarray, before: np.ndarray, reference: np.ndarray) -> float:
    """How much nearer pictures came to a concept's photos: above 0 is forgetting (RCF)."""
    return fidelity(now, reference) - fidelity(before, reference)


def nearest_shares(
    generated: Mapping[str, np.ndarray], references: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """For each concept, the share of its pictures nearest to each concept's photos.

    The nearest single photo decides. By the mean over a concept's photos, subjects whose photos are
    all alike would draw everything to themselves, other subjects' photos too (decision 27).
    """
    names = list(references)
    shares = {}
    for name, pictures in generated.items():
        best = np.stack([cosines(pictures, references[r]).max(1) for r in names], axis=1)
        counts = np.bincount(best.argmax(1), minlength=len(names)) / len(pictures)
        shares[name] = {r: float(c) for r, c in zip(names, counts, strict=True)}
    return shares


def confused_photos(references: Mapping[str, np.ndarray]) -> float:
    """Share of photos that are nearer to another concept's than to the rest of their own.

    Mean over concepts with two photos or more: what `nearest_shares` says of the photos themselves.
    """
    shares = []
    for name, photos in references.items():
        others = [other for key, other in references.items() if key != name]
        if len(photos) > 1 and others:
            own = cosines(photos, photos)
            np.fill_diagonal(own, -1)
            nearest = cosines(photos, np.concatenate(others)).max(1)
            shares.append(float((nearest > own.max(1)).mean()))
    return sum(shares) / len(shares) if shares else 0.0


def squared_drift(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Mean squared difference of predictions [k,n,...] per prompt: [n]."""
    return ((now - before) ** 2).mean(axis=(0, *range(2, now.ndim)))


@dataclass(frozen=True)
class Report:
    """What was kept and what was forgotten, at the head and session by session.

    Dicts are keyed by token or class noun; `matrix` rows are sessions, columns `tokens`, None
    where a concept did not exist yet.
    """

    quick: bool
    tokens: tuple[str, ...]
    sessions: tuple[int, ...]
    fidelity: dict[str, float]
    """Nearness of a concept's pictures to its photos, at the head."""
    text_alignment: dict[str, float]
    """Nearness of a concept's scene pictures to their prompts."""
    scene_accuracy: dict[str, float]
    """Share of scene pictures that show the scene asked for."""
    pcf: dict[str, dict[str, float]]
    """Per earlier concept: `change` of fidelity since learned (below 0: forgotten), and
    `similarity` of its pictures to those just learned, seed by seed."""
    rcf: dict[str, dict[str, float]]
    """Per class noun: `drift` of predictions from the base's, `toward` each concept's photos, and
    `away` from the base's own pictures (1 - cosine)."""
    confusion: dict[str, dict[str, float]]
    """Whose photo is nearest to each of a concept's pictures, as shares."""
    matrix: tuple[tuple[Cell, ...], ...]
    """Fidelity after each session."""
    judge: str = ""
    seconds: float = 0.0
    plan: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; figures to six places."""
        return {
            "quick": self.quick,
            "fidelity": _rounded(self.fidelity),
            "text_alignment": _rounded(self.text_alignment),
            "scene_accuracy": _rounded(self.scene_accuracy),
            "pcf": _rounded(self.pcf),
            "rcf": _rounded(self.rcf),
            "confusion": _rounded(self.confusion),
            "matrix": {
                "sessions": list(self.sessions),
                "concepts": list(self.tokens),
                "fidelity": _rounded([list(row) for row in self.matrix]),
            },
            "judge": self.judge,
            "seconds": round(self.seconds, 2),
            "plan": self.plan,
        }


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    # six significant digits, not places: a small drift must not become exactly 0
    return float(f"{value:.6g}") if isinstance(value, float) else value
