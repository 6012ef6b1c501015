"""A small store to test with: real blobs, real rows, nothing stubbed."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from store import BaseRef, Context, NewConcept, Photo, Refusal, Row, Session, Store

REPO = Path(__file__).resolve().parents[2]
BASE = BaseRef(id="pocket", revision="1", sha256="ab" * 32, layout="sd")


def adapter(seed: int) -> dict[str, np.ndarray]:
    """Make up a little adapter that depends on `seed`."""
    rng = np.random.default_rng(seed)
    return {
        "unet.down.lora_A": rng.standard_normal((4, 8)).astype(np.float32),
        "unet.down.lora_B": rng.standard_normal((8, 4)).astype(np.float32),
        "scale": np.float32(seed),
    }


def learn(
    store: Store,
    token: str,
    seed: int = 1,
    class_noun: str = "cat",
    thumbnail: np.ndarray | None = None,
) -> Session:
    """Commit a concept with everything a real one has."""
    rng = np.random.default_rng(seed)
    context = {
        "latent": rng.standard_normal((4, 8, 8)).astype(np.float32),
        "mask": np.ones((8, 8), np.float32),
    }
    if thumbnail is not None:
        context["thumbnail"] = thumbnail
    latent = store.put_tensors(context)
    concept = NewConcept(
        token=token,
        class_noun=class_noun,
        photos=(Photo("a.jpg", f"{seed:064x}", "on a sofa"), Photo("b.jpg", f"{seed + 1:064x}")),
        refused=(Refusal("c.txt", "not a picture"),),
        contexts=(Context(latent, 0),),
        rows=(Row.of(0, token, rng.standard_normal(16).astype(np.float32)),),
        reference=store.put_tensors({"photos": rng.standard_normal((2, 6)).astype(np.float32)}),
    )
    return store.commit_learn(
        concept=concept,
        adapter=store.put_tensors(adapter(seed)),
        settings={"rank": 4, "targets": ["attn1", "attn2"], "seed": seed},
        metrics={"fidelity": 0.5, "pcf": {"V1": 0.1}},
        versions={"numpy": np.__version__},
        seconds=1.5,
    )


def state(store: Store) -> object:
    """Take everything a user could see at the head, the bytes of every blob included."""
    sessions = store.sessions()
    blobs = {sha: store.blob(sha) for session in sessions for sha in session.blobs()}
    return sessions, store.concepts(), blobs


def script(code: str, *args: str) -> subprocess.Popen[str]:
    """Start a second process of our own, with pipes to talk to it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        cwd=REPO,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, *args: str, timeout: float = 120) -> str:
    """Run a second process to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
