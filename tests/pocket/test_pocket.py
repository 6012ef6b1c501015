"""The embedded base: what a stranger's diffusers, our loader and our judge find in the folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

import lfsd
from lfsd.judge import Judge

POCKET = Path(lfsd.__file__).parent / "bases" / "pocket"
SAMPLES = Path(lfsd.__file__).parent / "samples"


def test_it_is_small_and_holds_no_pickle() -> None:
    sizes = {p: p.stat().st_size for p in POCKET.rglob("*") if p.is_file()}
    assert sum(sizes.values()) <= 100e6
    assert max(sizes.values()) <= 60e6
    assert {p.suffix for p in sizes} <= {".json", ".safetensors", ".md", ".txt", ".png"}


def test_plain_diffusers_draws_with_it() -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(POCKET, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    draw = torch.Generator().manual_seed(0)
    image = pipeline("a photo of a cat on a beach", num_inference_steps=2, generator=draw).images[0]
    assert image.size == (128, 128)
    assert np.asarray(image).std() > 5


def test_any_english_prompt_tokenises_without_unknowns() -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(POCKET, local_files_only=True)
    tokenizer = pipeline.tokenizer
    words = "a philosophical zebra, drinking espresso!"
    assert tokenizer.decode(tokenizer(words).input_ids, skip_special_tokens=True).split() == (
        "a philosophical zebra , drinking espresso !".split()
    )


def test_the_judge_splits_subject_from_scene() -> None:
    judge = Judge.load(POCKET)
    told = json.loads((POCKET / "image_encoder/preprocessor_config.json").read_text())
    assert judge.subject_dims == told["subject_dims"]
    pictures = _sample_images("poodle")
    subjects, whole = judge.subjects(pictures), judge.images(pictures)
    assert subjects.shape == (5, judge.subject_dims)
    assert whole.shape[1] == 2 * judge.subject_dims
    # one poodle in five scenes: what stands there is more alike than the pictures are
    assert np.triu(subjects @ subjects.T, 1).sum() > np.triu(whole @ whole.T, 1).sum()


@pytest.mark.parametrize("folder", sorted(p.name for p in SAMPLES.iterdir() if p.is_dir()))
def test_each_sample_set_has_five_pictures_and_a_licence(folder: str) -> None:
    facts = json.loads((SAMPLES / "samples.json").read_text())[folder]
    assert facts["class"] and facts["license"] and facts["source"]
    assert {image.size for image in _sample_images(folder)} == {(128, 128)}
    assert len(_sample_images(folder)) == 5


def _sample_images(folder: str) -> list[Image.Image]:
    return [Image.open(p).convert("RGB") for p in sorted((SAMPLES / folder).glob("*.jpg"))]
