"""The pocket world: scenes, captions and composites, on a world of three small cut-outs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from recipes.pocket.scenes import COLOURS, SCENES, paint
from recipes.pocket.sources import square_sprite
from recipes.pocket.world import World, article

NAMES = (("red ball", "ball", False), ("green cup", "cup", False), ("blue hat", "hat", True))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    (folder / "sprites").mkdir()
    subjects = []
    for i, (name, noun, held_out) in enumerate(NAMES):
        cut = Image.new("RGBA", (200, 160), (0, 0, 0, 0))
        colour = (220, 30, 30) if i == 0 else (30, 160, 60) if i == 1 else (30, 60, 220)
        ImageDraw.Draw(cut).ellipse((40, 20, 160, 140), fill=(*colour, 255))
        sprite = square_sprite(cut)
        assert sprite is not None
        sprite.save(folder / "sprites" / f"{i:04d}.webp", lossless=True)
        known = {"id": name, "name": name, "noun": noun, "style": "photo", "held_out": held_out}
        subjects.append(known)
    listing = {"subjects": subjects, "photographs": []}
    (folder / "subjects.json").write_text(json.dumps(listing))
    return World(folder, "cpu", per_scene=1, workers=1)


@pytest.mark.parametrize("scene", list(SCENES))
def test_every_scene_paints_something_and_the_same_thing_twice(scene: str) -> None:
    picture = paint(scene, 3, 48)
    assert picture.shape == (48, 48, 3)
    assert np.array_equal(picture, paint(scene, 3, 48))
    assert not np.array_equal(picture, paint(scene, 4, 48))


def test_held_out_subjects_are_never_drawn_for_training(world: World) -> None:
    rows = world.rows(300, seed=1)
    assert set(rows.subject) <= {0, 1}
    assert set(rows.second) <= {-1, 0, 1}
    assert set(world.rows(20, seed=1, held_out=True).subject) == {2}


def test_captions_name_the_subject_the_tint_and_the_scene(world: World) -> None:
    rows = world.rows(200, seed=2, pairs=0.0, tints=1.0)
    colours = list(COLOURS)
    for i, caption in enumerate(rows.captions):
        assert world.subjects[rows.subject[i]].noun in caption
        assert colours[rows.tint[i]] in caption
        assert caption.endswith(rows.scene_text[i])


def test_some_captions_name_no_scene_and_most_of_those_are_on_white(world: World) -> None:
    rows = world.rows(800, seed=2, pairs=0.0, tints=0.0, bare=0.25)
    bare = np.array([text == "" for text in rows.scene_text])
    assert 0.2 < bare.mean() < 0.3
    phrases = [phrase for _, spoken, _ in SCENES.values() for phrase in spoken]
    for caption, without in zip(rows.captions, bare, strict=True):
        assert any(caption.endswith(phrase) for phrase in phrases) != without
        assert caption == caption.strip()
    white = world.scene_of[rows.background] == world.scenes.index("white background")
    assert white[bare].mean() > 0.6 and white[~bare].mean() < 0.1


def test_composites_show_the_subject_and_repeat_by_seed(world: World) -> None:
    rows = world.rows(8, seed=3, pairs=0.0, tints=0.0)
    rows.subject[:] = 0
    index = np.arange(8)
    first = world.compose(rows, index, torch.Generator().manual_seed(5))
    again = world.compose(rows, index, torch.Generator().manual_seed(5))
    assert first.shape == (8, 3, 128, 128)
    assert torch.equal(first, again)
    assert 0 <= float(first.min()) and float(first.max()) <= 1
    rows.subject[:] = 1
    other = world.compose(rows, index, torch.Generator().manual_seed(5))
    redder = (first[:, 0] - first[:, 1]) - (other[:, 0] - other[:, 1])
    assert (redder.amax(dim=(1, 2)) > 0.4).all()


def test_what_subjects_cover_is_told(world: World) -> None:
    rows = world.rows(6, seed=4, pairs=0.0, tints=0.0)
    rows.subject[:] = 0
    pictures, cover = world.drawn(rows, np.arange(6), torch.Generator().manual_seed(5))
    rows.subject[:] = 1
    others, same = world.drawn(rows, np.arange(6), torch.Generator().manual_seed(5))
    assert cover.shape == (6, 1, 128, 128) and torch.allclose(cover, same, atol=0.02)
    changed = (pictures - others).abs().amax(dim=1, keepdim=True) > 0.05
    assert (changed & (cover < 0.01)).sum() == 0
    assert ((cover > 0.5) & ~changed).sum() < 0.02 * (cover > 0.5).sum()
    assert 0.1 < cover.mean() < 0.8


def test_with_less_play_subjects_stand_alike(world: World) -> None:
    rows = world.rows(24, seed=4, pairs=0.0, tints=0.0)
    rows.subject[:], rows.background[:] = 0, world.scene_of.tolist().index(0)

    def spread(play: float) -> float:
        cover = world.drawn(rows, np.arange(24), torch.Generator().manual_seed(5), play=play)[1]
        return float(cover.sum(dim=(1, 2, 3)).std())

    assert spread(0.2) < 0.5 * spread(1.0)


def test_a_small_cut_out_is_refused() -> None:
    tiny = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    ImageDraw.Draw(tiny).rectangle((10, 10, 40, 40), fill=(255, 0, 0, 255))
    assert square_sprite(tiny) is None


def test_articles() -> None:
    assert article("apple") == "an apple"
    assert article("cat") == "a cat"
    assert article("sunglasses") == "sunglasses"


def test_nouns_asked_for_come_more_often(world: World) -> None:
    plain, more = (world.rows(600, seed=4, more=nouns).subject for nouns in ((), ("cup",)))
    assert 0.4 < (plain == 1).mean() < 0.6
    assert 0.68 < (more == 1).mean() < 0.82


def test_an_early_world_shows_its_nouns_alike(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    nouns = ["toy", "cup", "cup", "cup"]
    monkeypatch.setattr(world, "early", True)
    weight = world._weights(nouns, more=())
    assert np.allclose(weight / weight.sum(), [1 / 2, 1 / 6, 1 / 6, 1 / 6])
    weight = world._weights(nouns, more=("toy",))
    assert np.allclose(weight / weight.sum(), [3 / 4, 1 / 12, 1 / 12, 1 / 12])


def test_an_early_world_draws_only_what_was_chosen_and_misses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "early", True)
    monkeypatch.setattr("recipes.pocket.world.EARLY_SUBJECTS", {"cup": ("green cup",)})
    assert world.pool(held_out=False).tolist() == [1]
    assert world.pool(held_out=True).tolist() == [2]
    monkeypatch.setattr("recipes.pocket.world.EARLY_SUBJECTS", {"cup": ("gone",)})
    with pytest.raises(KeyError, match="gone"):
        world.pool(held_out=False)
