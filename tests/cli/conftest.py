"""Stores with a history but no model: enough for every command that only reads or moves."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lfsd_cli.main import main
from store.records import BaseRef, Context, NewConcept, Photo, Refusal, Row
from store.store import Store

BASE = BaseRef(id="pocket", revision="", sha256="ab" * 32, layout="sd")
LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


@dataclass
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The one JSON object on stderr."""
        return json.loads(self.err)["error"]


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """`run("ls", "--json")` in this process: the exit code and both streams."""

    def call(*words: object) -> Ran:
        capfd.readouterr()
        code = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture
def home() -> Path:
    """The folder that LFSD_HOME names in this test; nothing is there yet."""
    return Path(os.environ["LFSD_HOME"])


@pytest.fixture
def learned(home: Path) -> Path:
    """A store that learned V1 (cat) and V2 (teddy bear)."""
    with Store.create(home, BASE) as store:
        commit(store, "V1", "cat", seed=1)
        commit(store, "V2", "teddy bear", seed=2)
    return home


def commit(
    store: Store, token: str, class_noun: str, *, seed: int = 0, colour: str | None = None
) -> str:
    """Commit a session with random arrays, a thumbnail of one colour if named; returns its id."""
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
        return rng.normal(size=shape).astype(np.float32)

    kept = {"latent": array(4, 8, 8), "mask": array(8, 8)}
    if colour:
        kept["thumbnail"] = np.asarray(Image.new("RGB", (16, 16), colour))
    context = store.put_tensors(kept)
    concept = NewConcept(
        token=token,
        class_noun=class_noun,
        photos=(Photo("one.jpg", "00" * 32), Photo("two.jpg", "11" * 32, "a caption")),
        refused=(Refusal("broken.jpg", "truncated"),),
        contexts=(Context(context, 1),),
        rows=(Row.of(0, token, array(1, 16)),),
        reference=store.put_tensors({"photos": array(2, 8)}),
    )
    session = store.commit_learn(
        concept=concept,
        adapter=store.put_tensors(
            {f"{LAYER}.lora_A.weight": array(4, 16), f"{LAYER}.lora_B.weight": array(16, 4)}
        ),
        settings={"steps": 100, "seed": 0},
        metrics={"fidelity": {token: 0.75}},
        versions={"lfsd": "0.1.0"},
        seconds=61.4,
    )
    return session.id
