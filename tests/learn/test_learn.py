"""One session on tiny bases: it learns, it repeats, it resumes, and it keeps what was known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lfsd.adapter import STUDENT, TEACHER, Adapter
from lfsd.base import BaseModel
from lfsd.data import draw_batch
from lfsd.errors import InterruptedLearning, LfsdError, NotFoundError, UsageError
from lfsd.events import Checkpoint, Event, Notice, Step
from lfsd.learn import LearnedSession, learn_session
from lfsd.loop import Loop, Subject
from lfsd.pool import Prompts, encode_prompts
from lfsd.prompts import distillation_prompts
from lfsd.settings import Settings, TokenInit
from lfsd.tokens import insert_token
from tests.learn.photos import disc_photos
from tests.tiny import LAYOUTS, tiny_base

QUICK = Settings(
    rank=4, alpha=4.0, steps=8, batch=2, pool_size=3, lr_adapter=1e-2, checkpoint_every=0
)


def fresh(layout: str, settings: Settings = QUICK) -> tuple[BaseModel, Adapter]:
    base = BaseModel.load(tiny_base(layout), device="cpu", precision="float32")
    return base, Adapter(base, settings)


def learn(layout: str = "pocket", settings: Settings = QUICK, **further: Any) -> LearnedSession:
    base, adapter = fresh(layout, settings)
    photos = disc_photos(side=settings.resolution or 32)
    return learn_session(base, adapter, Subject("V1", "cat"), photos, settings, **further)


def same(a: LearnedSession, b: LearnedSession) -> bool:
    return all(np.array_equal(a.adapter[k], b.adapter[k]) for k in a.adapter) and all(
        np.array_equal(x, y) for x, y in zip(a.rows, b.rows, strict=True)
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_learns(layout: str) -> None:
    base, adapter = fresh(layout)
    earlier = insert_token(base, "V0", "dog")
    for row in earlier:
        row.requires_grad_(False)
    kept = [row.clone() for row in earlier]
    unet = {k: v.clone() for k, v in base.unet.state_dict().items() if "lora" not in k}
    text = [{k: v.clone() for k, v in e.state_dict().items()} for e in base.text_encoders]
    begun = adapter.state()
    events: list[Event] = []
    done = learn_session(
        base,
        adapter,
        Subject("V1", "cat", [("V0", "dog")]),
        disc_photos(),
        QUICK,
        on_event=events.append,
    )
    assert any(not np.array_equal(done.adapter[k], begun[k]) for k in begun)
    assert len(done.rows) == len(base.text_encoders)
    steps = [e for e in events if isinstance(e, Step)]
    assert [e.step for e in steps] == list(range(1, 9))
    assert steps[0].loss_kd < 1e-9, "the student begins as its teacher"
    assert steps[-1].loss_kd > 1e-7
    # the teacher, the base and the earlier concept's rows: bit for bit as before
    teacher = adapter.state(TEACHER)
    assert all(np.array_equal(teacher[k], begun[k]) for k in begun)
    now = base.unet.state_dict()
    assert all(torch.equal(now[k], v) for k, v in unet.items())
    for encoder, before in zip(base.text_encoders, text, strict=True):
        assert all(torch.equal(encoder.state_dict()[k], v) for k, v in before.items())
    assert all(torch.equal(a, b) for a, b in zip(earlier, kept, strict=True))


@pytest.mark.parametrize("init", ["noise", "noun"])
def test_rows_begin_where_the_settings_say(init: TokenInit) -> None:
    base = fresh("pocket")[0]
    begun = [row.detach().numpy() for row in insert_token(base, "V1", "cat", init=init)]
    done = learn(settings=QUICK.changed(steps=1, token_init=init, lr_token=0.0))
    assert all(np.array_equal(a, b) for a, b in zip(done.rows, begun, strict=True))


def test_photos_are_fitted() -> None:
    settings = QUICK.changed(steps=40, batch=4, distill=False, targets=("attn1", "attn2", "ff"))
    # the draws are the same, so the losses pair up step by step
    trained = learn(settings=settings.changed(lr_adapter=2e-2)).losses["dm"][-10:]
    still = learn(settings=settings.changed(lr_adapter=1e-9, lr_token=1e-9)).losses["dm"][-10:]
    assert all(a < b for a, b in zip(trained, still, strict=True))
    assert np.mean(trained) < 0.95 * np.mean(still)


def test_distillation_holds_the_student_near_its_teacher() -> None:
    def drift(settings: Settings) -> float:
        base, adapter = fresh("pocket", settings)
        learn_session(base, adapter, Subject("V1", "cat"), disc_photos(), settings)
        z = torch.randn(8, 8, 16, 16, generator=torch.Generator().manual_seed(9))
        t = torch.linspace(50, 950, 8).long()
        text = base.encode_text(["a photo of a cat", "a dog on a beach"] * 4).detach()
        with torch.no_grad():
            now = base.predict(z, t, text)
        with adapter.as_base():
            return float((base.predict(z, t, text) - now).square().mean())

    settings = QUICK.changed(steps=40, pool_size=6, distill_weight=10.0)
    assert drift(settings) < 0.5 * drift(settings.changed(distill=False))


def test_l2_sp_goes_a_share_of_the_way_back_to_the_start() -> None:
    def moved(l2_sp: float) -> dict[str, np.ndarray]:
        settings = QUICK.changed(steps=1, warmup=10, l2_sp=l2_sp)
        begun = fresh("pocket", settings)[1].state()
        done = learn(settings=settings).adapter
        return {key: done[key] - begun[key] for key in begun}

    free, held = moved(0.0), moved(0.5)
    assert any(change.any() for change in free.values())
    # the first of ten steps of warm-up has a tenth of the rate
    for key, change in free.items():
        np.testing.assert_allclose(held[key], 0.95 * change, rtol=1e-3, atol=1e-7)


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    first = learn()
    assert same(first, learn())
    assert not same(first, learn(settings=QUICK.changed(seed=1)))


@pytest.mark.parametrize("trajectory", ["teacher", "student"])
def test_resumed_session_is_the_uninterrupted_one(tmp_path: Path, trajectory: str) -> None:
    settings = QUICK.changed(trajectory=trajectory, pool_refresh=3, token_rows=2)
    whole = learn(settings=settings)
    seen: list[Event] = []

    def stop() -> bool:
        return sum(isinstance(e, Step) for e in seen) == 5

    with pytest.raises(InterruptedLearning, match="after step 5 of 8"):
        learn(settings=settings, work_dir=tmp_path, on_event=seen.append, should_stop=stop)
    assert [e.step for e in seen if isinstance(e, Checkpoint)] == [5]
    resumed = learn(settings=settings, work_dir=tmp_path, resume=True)
    assert same(whole, resumed)
    assert whole.losses == resumed.losses


def test_base_share_weighs_what_the_base_teaches_and_nothing_else() -> None:
    def losses(**changes: Any) -> list[tuple[str, float]]:
        settings = QUICK.changed(steps=1, pool_size=8, lr_adapter=1e-9, replay=0, **changes)
        base, adapter = fresh("pocket", settings)
        insert_token(base, "V0", "dog")[0].requires_grad_(False)
        torch.manual_seed(0)
        for parameter in adapter.parameters(STUDENT):
            parameter.data.normal_(0, 0.3)
        subject = Subject("V1", "cat", [("V0", "dog")])
        found: dict[int, tuple[str, float]] = {}

        class Watched(Loop):
            """Asks for L_KD of each entry once the student has moved away from both teachers."""

            def learned(self) -> None:
                assert self.pool is not None
                for parameter in self.adapter.parameters(STUDENT):
                    parameter.data.mul_(2)
                draw = draw_batch(self.data, self.settings, ("V1", 0), 1000, 1)
                for i, prompt in enumerate(self.pool.prompt.tolist()):
                    _, kd = self.part(draw, torch.tensor([i]))
                    found[i] = (self.prompts.names[prompt], float(kd.detach()))

        learn_session(base, adapter, subject, disc_photos(), settings, loop=Watched)
        return [found[i] for i in sorted(found)]

    whole, tenth = losses(base_share=1.0), losses(base_share=0.1)
    assert [name for name, _ in whole] == [name for name, _ in tenth]
    assert {"V0" in name for name, _ in whole} == {True, False}
    for (name, full), (_, less) in zip(whole, tenth, strict=True):
        assert less == pytest.approx(full if "V0" in name else full / 10, rel=1e-5)
        assert full > 0


class Whole(Loop):
    """A loop that encodes every prompt there is."""

    def pool_prompts(self) -> dict[str, list[str]]:
        return distillation_prompts(self.subject.class_noun, self.subject.earlier, self.settings)


@pytest.mark.parametrize("refresh", [0, 3])
def test_prompts_that_no_pool_can_reach_are_not_encoded(
    refresh: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []

    def watched(base: BaseModel, names: list[str]) -> Prompts:
        encoded.append(len(set(names)))
        return encode_prompts(base, names)

    monkeypatch.setattr("lfsd.loop.encode_prompts", watched)
    settings = QUICK.changed(pool_refresh=refresh, pool_size=4)
    subject = Subject("V1", "cat", [(f"W{i}", "dog") for i in range(30)])

    def learned(loop: type[Loop]) -> LearnedSession:
        base, adapter = fresh("pocket", settings)
        for token, noun in subject.earlier:
            insert_token(base, token, noun)[0].requires_grad_(False)
        return learn_session(base, adapter, subject, disc_photos(), settings, loop=loop)

    assert same(learned(Loop), learned(Whole))
    few, every = encoded
    assert every > 300 and few <= 1 + 3 * 4 * (3 if refresh else 1)


def test_checkpoint_of_another_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterruptedLearning):
        learn(work_dir=tmp_path, should_stop=lambda: True)
    with pytest.raises(UsageError, match="another settings"):
        learn(settings=QUICK.changed(seed=3), work_dir=tmp_path, resume=True)
    with pytest.raises(NotFoundError, match="no interrupted session"):
        learn(work_dir=tmp_path / "other", resume=True)


def test_checkpoint_cut_short_is_named(tmp_path: Path) -> None:
    with pytest.raises(InterruptedLearning):
        learn(work_dir=tmp_path, should_stop=lambda: True)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(NotFoundError, match="cannot be read"):
        learn(work_dir=tmp_path, resume=True)


def test_a_student_that_stopped_training_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = QUICK.changed(distill=False)
    base, adapter = fresh("pocket", settings)
    begin = Loop.run

    def trap(loop: Loop, *arguments: Any) -> None:
        # what peft's switches do to a student that is left and come back to
        for layer in loop.adapter.layers.values():
            layer.enable_adapters(False)
            layer.enable_adapters(True)
            layer.set_adapter(TEACHER)
        begin(loop, *arguments)

    monkeypatch.setattr(Loop, "run", trap)
    with pytest.raises(LfsdError, match="student does not train"):
        learn_session(base, adapter, Subject("V1", "cat"), disc_photos(), settings)


def test_cut_batches_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learn(settings=QUICK.changed(steps=4))
    original, failed = Loop.part, []

    def scarce(loop: Loop, *arguments: Any) -> Any:
        if loop.chunks == 1:
            failed.append(1)
            raise torch.OutOfMemoryError("out of memory")
        return original(loop, *arguments)

    monkeypatch.setattr(Loop, "part", scarce)
    events: list[Event] = []
    cut = learn(settings=QUICK.changed(steps=4), on_event=events.append)
    assert failed == [1]
    assert any(isinstance(e, Notice) and "out of memory" in e.text for e in events)
    for key, value in whole.adapter.items():
        np.testing.assert_allclose(cut.adapter[key], value, atol=1e-3)


@pytest.mark.parametrize(
    "changed",
    [
        {"subject_mask": "saliency", "composites": 0.5},
        {"subject_mask": "attention", "context_mask": "attention"},
        {"teacher": "base"},
        {"distill_space": "noise", "grad_accumulation": 2},
        {"targets": ("attn2", "ff"), "lr_token": 0.0},
        {"gradient_checkpointing": True},
        {"resolution": 16},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_switches_run(changed: dict[str, Any]) -> None:
    done = learn(settings=QUICK.changed(steps=4, **changed))
    assert np.isfinite(done.losses["dm"]).all()
    assert any(v.any() for k, v in done.adapter.items() if "lora_B" in k)
