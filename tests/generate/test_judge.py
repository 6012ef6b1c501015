"""The judge: real CLIP classes, its own words, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lfsd.errors import BaseUnavailableError
from lfsd.judge import Judge
from tests.tiny import tiny_base


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load(tiny_base("pocket"))


def pictures(count: int, side: int = 40) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).resize((64, 64))
        for _ in range(count)
    ]


def test_embeddings_are_unit_rows_and_do_not_depend_on_the_batch(judge: Judge) -> None:
    images = pictures(35)
    rows = judge.images(images)
    assert rows.shape == (35, 32) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(judge.images(images[33:34])[0], rows[33], atol=1e-5)
    assert np.abs(rows[0] - rows[1]).max() > 1e-4
    texts = judge.texts(["a cat", "a dog on a beach", "a cat"])
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(texts[0], texts[2], atol=1e-6)
    assert np.abs(texts[0] - texts[1]).max() > 1e-3
    assert judge.images([]).shape == judge.texts([]).shape == (0, 32)


def test_long_texts_and_other_modes_are_no_trouble(judge: Judge) -> None:
    assert judge.texts(["a red cat " * 50]).shape == (1, 32)
    assert judge.images([pictures(1)[0].convert("L"), pictures(1)[0].convert("RGBA")]).shape[0] == 2


def test_preprocessing_may_be_named_by_the_judge(tmp_path: Path, judge: Judge) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base("pocket"), folder)
    told = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.1, 0.1, 0.1]}
    (folder / "image_encoder" / "preprocessor_config.json").write_text(json.dumps(told))
    other = Judge.load(folder)
    assert np.abs(other.images(pictures(1)) - judge.images(pictures(1))).max() > 1e-4
    assert other.fingerprint == judge.fingerprint != ""


def test_a_base_without_judge_falls_back_to_pocket_s(
    monkeypatch: pytest.MonkeyPatch, judge: Judge
) -> None:
    with pytest.raises(BaseUnavailableError, match="no judge"):
        Judge.load(tiny_base("sd1"))
    monkeypatch.setattr("lfsd.judge.locate_base", lambda _name: tiny_base("pocket"))
    assert Judge.for_base(tiny_base("sd1")).fingerprint == judge.fingerprint
    monkeypatch.setattr("lfsd.judge.locate_base", lambda _name: tiny_base("sd1"))
    with pytest.raises(BaseUnavailableError):
        Judge.for_base(tiny_base("sd1"))


def test_a_vision_tower_alone_or_a_damaged_file_is_no_judge(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base("pocket"), folder)
    config = folder / "image_encoder" / "config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps({**told, "model_type": "clip_vision_model"}))
    with pytest.raises(BaseUnavailableError, match="CLIP"):
        Judge.load(folder)
    config.write_text(json.dumps(told))
    (folder / "image_encoder" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(BaseUnavailableError, match="cannot load the judge"):
        Judge.load(folder)
