"""The figures of the recipe's last stage, on embeddings whose right answer is known."""

from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from lfsd.judge import Judge
from recipes.pocket import early, evaluate
from recipes.pocket.likeness import scored

ASKED = [
    ("cat", "on a beach", "a photo of a cat on a beach"),
    ("dog", "on a beach", "a photo of a dog on a beach"),
    ("dog", "in the snow", "a photo of a dog in the snow"),
]
WORDS = {"a cat": 0, "a dog": 1, "on a beach": 2, "in the snow": 3}


class Literal:
    """A judge that reads words, and whose pictures carry their number in a pixel."""

    subject_dims = 2

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    def texts(self, texts: list[str]) -> np.ndarray:
        found = np.array([[float(w in t) for w in WORDS] for t in texts], dtype=np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def images(self, images: list[Image.Image]) -> np.ndarray:
        return self.texts([self.seen[int(np.asarray(i)[0, 0, 0])] for i in images])


def judged(seen: list[str]) -> tuple[Judge, list[Image.Image]]:
    images = [Image.new("RGB", (4, 4), (k, 0, 0)) for k in range(len(seen))]
    return cast(Judge, cast(Any, Literal(seen))), images


def test_objects_and_scenes_are_counted_apart() -> None:
    judge, images = judged(["a cat in the snow", "a cat on a beach", "a dog in the snow"])
    told, placed = evaluate.named(judge, images, ASKED)
    assert (told, placed) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_plain_nouns_are_told_among_those_with_a_scene() -> None:
    judge, images = judged(["a cat in the snow", "a dog on a beach"])
    plain = [("cat", "", "a photo of a cat"), ("cat", "", "a photo of a cat")]
    assert evaluate.named(judge, images, plain, ASKED)[0] == 0.5
    assert {o for o, _, _ in evaluate.bare_prompts()} == set(evaluate.OBJECTS)


def test_a_picture_finds_its_own_caption_or_not() -> None:
    right = [prompt for _, _, prompt in ASKED]
    assert evaluate.retrieval(*judged(right), ASKED) == 1.0
    assert evaluate.retrieval(*judged([right[0], right[2], right[1]]), ASKED) == pytest.approx(
        1 / 3
    )


def test_nearest_neighbours_leave_the_picture_itself_out() -> None:
    two = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.0]], dtype=np.float32)
    assert evaluate.leave_one_out(two, [0, 0, 1, 1]) == 0.5


def test_every_object_is_asked_for_in_two_scenes() -> None:
    asked = evaluate.prompts()
    assert len(asked) == 64 == len({p for _, _, p in asked})
    for name in evaluate.OBJECTS:
        assert len({place for o, place, _ in asked if o == name}) == 2


def test_every_noun_that_is_measured_is_in_the_early_world() -> None:
    assert set(evaluate.OBJECTS) <= set(early.SUBJECTS)
    chosen = [name for names in early.SUBJECTS.values() for name in names]
    assert len(chosen) == len(set(chosen))


def test_likeness_counts_the_right_subject() -> None:
    near = np.array([[[0.9, 0.1], [0.2, 0.3]], [[0.5, 0.6], [0.1, 0.8]]])
    seen = scored(near)
    assert seen.told == 0.75 and seen.similarity == pytest.approx((0.9 + 0.2 + 0.6 + 0.8) / 4)
