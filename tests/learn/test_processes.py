"""Two processes on the CPU (gloo) learn one session, through the command that README gives."""

import json
import os
import sys
from pathlib import Path
from subprocess import run
from threading import Timer

import numpy as np
import pytest

from lfsd.lifelong import LifelongModel
from lfsd.settings import Settings
from lfsd_cli.commands import learn as command
from store.errors import NotFoundError
from store.records import BaseRef
from store.store import Store
from store.verify import verify
from tests.learn.photos import disc_photos
from tests.tiny import tiny_base

# the launcher starts several processes on CPUs as well, but only under the name of GPUs
LAUNCH = (
    "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 "
    "--mixed_precision no --dynamo_backend no --main_process_port 0 -m lfsd_cli"
).split()
SETTINGS = Settings(
    rank=4,
    alpha=4.0,
    steps=4,
    batch=2,  # and the row that has nothing to replay
    replay=1,
    lr_adapter=1e-2,
    distill=False,
    device="cpu",
    precision="float32",  # a CPU with bf16 would round the sums away
    measure=False,
    context_in_training=True,
)
GIVEN = "steps batch rank device".split()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in disc_photos(count=3, side=160):
        photo.image.save(folder / photo.name)
    return folder


def learned(store: Store) -> list[np.ndarray]:
    """All that the last session taught: the adapter's matrices and the token's rows."""
    session = store.head
    assert session.adapter is not None and session.concept is not None
    matrices = store.tensors(session.adapter)
    return [*(matrices[k] for k in sorted(matrices)), *(r.array() for r in session.concept.rows)]


def alone(home: Path, photos: Path, batch: int) -> list[np.ndarray]:
    with LifelongModel.create(
        home, str(tiny_base("pocket")), device="cpu", precision="float32"
    ) as model:
        settings = SETTINGS.changed(batch=batch)
        model.learn([photos], token="V1", class_noun="cat", settings=settings)
        return learned(model.store)


def distance(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))


def test_two_processes_learn_what_one_learns(photos: Path, tmp_path: Path) -> None:
    LifelongModel.create(tmp_path / "two", str(tiny_base("pocket"))).close()
    line = [
        sys.executable,
        *LAUNCH,
        "--home",
        str(tmp_path / "two"),
        "--json",
        "learn",
        "--log-json",
    ]
    line += [str(photos), "--token", "V1", "--class", "cat", "--preview-every", "0"]
    for key, value in SETTINGS.to_dict().items():
        if key in GIVEN:
            line += [f"--{key}", str(value)]
        elif value != Settings().to_dict()[key]:
            line += ["--set", f"{key}={json.dumps(value)}"]
    done = run(
        line,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "batch 4 instead of 3, to share among 2" in done.stderr, "there was one process only"
    # one document: the second process says nothing
    assert json.loads(done.stdout)["session"]["number"] == 1
    with Store.open(tmp_path / "two") as store:
        assert [s.kind for s in store.all_sessions()] == ["init", "learn"]
        assert verify(store, data=True) == []
        found = learned(store)
    # far closer to the same batch in one process than to one process' share of it
    whole, share = alone(tmp_path / "whole", photos, 3), alone(tmp_path / "share", photos, 1)
    assert distance(found, whole) < 1e-4
    assert distance(found, share) > 1e-3


def test_other_processes_wait_for_the_first_to_make_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setattr(command, "STORE_WAIT", 0.2)
    with pytest.raises(NotFoundError, match="made no store"):
        command._await_store(home)
    monkeypatch.setattr(command, "STORE_WAIT", 60.0)
    ref = BaseRef(id="tiny", revision="", sha256="0" * 64, layout="sd")
    first = Timer(0.3, lambda: Store.create(home, ref).close())
    first.start()
    command._await_store(home)
    first.join()
    Store.open(home).close()
