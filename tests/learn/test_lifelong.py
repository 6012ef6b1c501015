"""LifelongModel end to end on tiny bases: learn, look back, take back, go on."""

import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run

import numpy as np
import pytest

from lfsd import measure
from lfsd.errors import (
    BaseMismatchError,
    InterruptedLearning,
    NotFoundError,
    PhotosRefusedError,
    UsageError,
)
from lfsd.events import ContactSheet, Event, Notice, PhotoRefused, Preview, Step
from lfsd.lifelong import LifelongModel
from lfsd.settings import Settings
from store.store import Store
from tests.learn.photos import disc_photos
from tests.tiny import LAYOUTS, tiny_base

QUICK = Settings(
    rank=4, alpha=4.0, steps=4, batch=2, pool_size=2, lr_adapter=1e-2, measure=False, contexts=2
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, colour in {"cat": (220, 60, 40), "dog": (40, 60, 220)}.items():
        folders[name] = tmp_path_factory.mktemp(name)
        for photo in disc_photos(count=3, side=160, colour=colour):
            photo.image.save(folders[name] / photo.name)
    return folders


def picture(model: LifelongModel, prompt: str, **further: object) -> np.ndarray:
    return np.array(model.generate(prompt, seed=3, steps=2, **further)[0].image)


def test_all_contexts_are_kept_and_some_are_drawn_with(
    photos: dict[str, Path], tmp_path: Path
) -> None:
    with LifelongModel.create(tmp_path / "home", str(tiny_base("pocket"))) as model:
        wanted = QUICK.changed(contexts=3, contexts_drawn=1)
        session = model.learn([photos["cat"]], token="V1", class_noun="cat", settings=wanted)
        cat = model.store.concept("V1")
        stored = [model.store.tensors(context.latents) for context in cat.contexts]
        context = model.context_of(cat)
        assert model.sampling(session).contexts == 1
    assert len(stored) == 3
    assert {array.dtype for arrays in stored for array in arrays.values()} == {np.dtype("float16")}
    assert context is not None and context.latents.dtype == np.float32
    assert np.array_equal(context.latents, np.stack([a["latent"] for a in stored]))
    assert np.array_equal(context.first(1).latents, context.latents[:1])


def test_a_thumbnail_is_the_first_contexts_photo(photos: dict[str, Path], tmp_path: Path) -> None:
    colours = [(220, 60, 40), (60, 220, 40), (40, 60, 220)]
    (tmp_path / "each").mkdir()
    for i, colour in enumerate(colours):
        disc_photos(count=1, side=160, colour=colour)[0].image.save(tmp_path / "each" / f"{i}.png")
    with LifelongModel.create(tmp_path / "home", str(tiny_base("pocket"))) as model:
        wanted = QUICK.changed(thumbnail=True, brighten=False)
        model.learn([tmp_path / "each"], token="V1", class_noun="cat", settings=wanted)
        model.learn([photos["dog"]], token="V2", class_noun="dog", settings=QUICK)
    with Store.open(tmp_path / "home") as store:
        cat = store.concept("V1")
        kept = store.thumbnail(cat)
        assert store.thumbnail(store.concept("V2")) is None
    assert kept is not None and kept.shape == (96, 96, 3)
    index = cat.contexts[0].photo_index
    middle = kept[40:56, 40:56].mean((0, 1))
    nearest = min(range(3), key=lambda i: float(np.abs(middle - colours[i]).sum()))
    assert cat.photos[index].name == f"{nearest}.png"


def test_a_thumbnail_needs_a_context() -> None:
    with pytest.raises(UsageError, match="contexts is 0"):
        QUICK.changed(thumbnail=True, contexts=0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_sessions_one_after_another(
    layout: str, photos: dict[str, Path], tmp_path: Path
) -> None:
    with LifelongModel.create(tmp_path / "home", str(tiny_base(layout))) as model:
        first = model.learn([photos["cat"]], token="V1", class_noun="cat", settings=QUICK)
        before = picture(model, "a V1 cat")
        second = model.learn([photos["dog"]], token="V2", class_noun="toy  dog", settings=QUICK)
        assert [c.token for c in model.concepts()] == ["V1", "V2"]
        assert model.concepts()[1].class_noun == "toy dog"
        assert second.parent == first.id
        assert second.adapter != first.adapter
        assert not np.array_equal(picture(model, "a V1 cat"), before)
        np.testing.assert_array_equal(picture(model, "a V1 cat", as_of="1"), before)
        both = model.generate("a V1 cat and a V2 toy dog", seed=1, steps=2)[0]
        assert both.concepts == ("V1", "V2")
        for prompt in ("a V2 toy dog", "a V1 cat and a V2 toy dog on a beach"):
            plain, blended = (picture(model, prompt, context_blend=share) for share in (0.0, 0.6))
            assert not np.array_equal(plain, blended)
        # back one session: the same store, the same pixels
        assert model.undo().id == first.id
        assert [c.token for c in model.concepts()] == ["V1"]
        np.testing.assert_array_equal(picture(model, "a V1 cat"), before)
        assert model.goto(second.id).number == 2
        model.remove("V1")
        assert [c.token for c in model.concepts()] == ["V2"]


def test_rename_keeps_what_was_learned(photos: dict[str, Path], tmp_path: Path) -> None:
    with LifelongModel.create(tmp_path / "home", str(tiny_base("pocket"))) as model:
        model.learn([photos["cat"]], token="V1", class_noun="cat", settings=QUICK)
        before = picture(model, "a V1 cat")
        model.rename("V1", "MAX")
        np.testing.assert_array_equal(picture(model, "a MAX cat"), before)
        with pytest.raises(UsageError, match="already knows"):
            model.rename("MAX", "dog")


def test_session_is_measured_and_can_be_measured_again(
    photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LifelongModel.create(tmp_path / "home", str(tiny_base("pocket"))) as model:
        settings = QUICK.changed(measure=True)
        for token, noun in (("V1", "cat"), ("V2", "dog")):
            session = model.learn([photos[noun]], token=token, class_noun=noun, settings=settings)
            assert session.metrics["fidelity"][token] == pytest.approx(
                model.measure(quick=True).fidelity[token], abs=1e-4
            )
        assert set(model.fidelity_when_learned()) == {"V1", "V2"}
        reference = model.concepts()[0].reference
        assert reference is not None
        assert model.store.tensors(reference)["photos"].shape[0] == 3
        sessions = model.sessions()
        for session in sessions:
            plan = session.metrics.get("plan", {})
            if plan:
                del plan["context_blend"]
                plan["subject_guidance"] = None
        with monkeypatch.context() as then:
            then.setattr(model, "sessions", lambda: sessions)
            assert set(model.fidelity_when_learned()) == {"V1", "V2"}, "checked alike before"
        monkeypatch.setattr(measure, "QUICK", replace(measure.QUICK, guidance_fraction=1.0))
        assert model.fidelity_when_learned() == {}, "they were drawn otherwise"


def test_interrupted_and_resumed_is_the_uninterrupted(
    photos: dict[str, Path], tmp_path: Path
) -> None:
    base = str(tiny_base("pocket"))
    request = {"token": "V1", "class_noun": "cat", "settings": QUICK}
    with LifelongModel.create(tmp_path / "whole", base) as model:
        whole = model.learn([photos["cat"]], **request)
    with LifelongModel.create(tmp_path / "cut", base) as model:
        seen: list[Event] = []
        with pytest.raises(InterruptedLearning):
            model.learn(
                [photos["cat"]],
                **request,
                on_event=seen.append,
                should_stop=lambda: any(isinstance(e, Step) and e.step == 2 for e in seen),
            )
        assert model.store.head.number == 0, "nothing is committed yet"
        resumed = model.learn([photos["cat"]], **request, resume=True)
        assert not list((tmp_path / "cut" / "work").glob("checkpoint*"))
    assert whole.adapter == resumed.adapter
    assert whole.concept is not None and resumed.concept is not None
    assert [r.data for r in whole.concept.rows] == [r.data for r in resumed.concept.rows]


def test_events_tell_what_was_refused_and_shown(photos: dict[str, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    seen: list[Event] = []
    given = {"token": "V1", "class_noun": "cat", "on_event": seen.append}
    with LifelongModel.create(tmp_path / "home", str(tiny_base("pocket"))) as model:
        with pytest.raises(PhotosRefusedError):
            model.learn([photos["cat"], bad], settings=QUICK, strict=True, **given)
        settings = QUICK.changed(preview_every=2)
        session = model.learn([photos["cat"], bad], settings=settings, **given)
    assert session.concept is not None
    assert [r.file for r in session.concept.refused] == ["bad.png"]
    assert any(isinstance(e, PhotoRefused) and e.file == "bad.png" for e in seen)
    assert all(e.path.is_file() for e in seen if isinstance(e, ContactSheet | Preview))
    assert [e.step for e in seen if isinstance(e, Preview)] == [2, 4]


def test_shape_of_the_adapter_is_fixed_by_the_first_session(
    photos: dict[str, Path], tmp_path: Path
) -> None:
    seen: list[Event] = []
    with LifelongModel.create(tmp_path / "home", str(tiny_base("pocket"))) as model:
        model.learn([photos["cat"]], token="V1", class_noun="cat", settings=QUICK)
        session = model.learn(
            [photos["dog"]],
            token="V2",
            class_noun="dog",
            settings=QUICK.changed(rank=8),
            on_event=seen.append,
        )
    assert session.settings["rank"] == 4
    assert any(isinstance(e, Notice) and "rank stays 4" in e.text for e in seen)


@pytest.mark.parametrize(
    ("token", "noun", "error"),
    [("V1;rm", "cat", UsageError), ("cat", "cat", UsageError), ("V1", "  ", UsageError)],
)
def test_bad_requests_change_nothing(
    token: str, noun: str, error: type[Exception], photos: dict[str, Path], tmp_path: Path
) -> None:
    with LifelongModel.create(tmp_path / "home", str(tiny_base("pocket"))) as model:
        with pytest.raises(error):
            model.learn([photos["cat"]], token=token, class_noun=noun, settings=QUICK)
        with pytest.raises(UsageError):
            model.learn([tmp_path], token="V1", class_noun="cat", settings=QUICK)
        assert len(model.sessions()) == 1


def test_prompt_without_a_concept_and_near_misses(tmp_path: Path) -> None:
    seen: list[Event] = []
    with LifelongModel.create(tmp_path / "home", str(tiny_base("pocket"))) as model:
        made = model.generate("a cat and V9", seed=1, steps=2, on_event=seen.append)[0]
        assert made.concepts == ()
        assert any(isinstance(e, Notice) and "V9" in e.text for e in seen)
        with pytest.raises(NotFoundError):
            model.generate("a cat", as_of="7", steps=2)


def test_store_of_another_base_is_refused(tmp_path: Path) -> None:
    folder = tiny_base("pocket", tmp_path / "base")
    LifelongModel.create(tmp_path / "home", str(folder)).close()
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("v_prediction", "epsilon"))
    with LifelongModel.open(tmp_path / "home") as model, pytest.raises(BaseMismatchError):
        model.generate("a cat", steps=2)


def test_reading_a_store_imports_no_torch(tmp_path: Path) -> None:
    home = tmp_path / "home"
    LifelongModel.create(home, str(tiny_base("pocket"))).close()
    assert Store.exists(home)
    program = (
        "import sys; from pathlib import Path; from lfsd.lifelong import LifelongModel\n"
        f"model = LifelongModel.open(Path({str(home)!r}))\n"
        "model.sessions(), model.concepts(), model.close()\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert run([sys.executable, "-c", program], check=False).returncode == 0
