"""Two processes on the CPU (gloo) learn one session, through the command that README gives."""

import json
import os
import sys
from pathlib import Path
from subprocess import run

import numpy as np
import pytest

from lfsd.lifelong import LifelongModel
from lfsd.settings import Settings
from store.records import Session
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
    batch=3,
    distill=False,
    device="cpu",
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


def learned(store: Store, session: Session) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    assert session.adapter is not None and session.concept is not None
    return store.tensors(session.adapter), [row.array() for row in session.concept.rows]


def test_two_processes_learn_what_one_learns(photos: Path, tmp_path: Path) -> None:
    base = str(tiny_base("pocket"))
    LifelongModel.create(tmp_path / "two", base).close()
    command = [
        sys.executable,
        *LAUNCH,
        "--home",
        str(tmp_path / "two"),
        "--json",
        "learn",
        "--log-json",
    ]
    command += [str(photos), "--token", "V1", "--class", "cat", "--preview-every", "0"]
    for key, value in SETTINGS.to_dict().items():
        if key in GIVEN:
            command += [f"--{key}", str(value)]
        elif value != Settings().to_dict()[key]:
            command += ["--set", f"{key}={json.dumps(value)}"]
    done = run(
        command,
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
    with LifelongModel.create(tmp_path / "one", base, device="cpu") as model:
        settings = SETTINGS.changed(batch=4)
        alone = model.learn([photos], token="V1", class_noun="cat", settings=settings)
        expected, expected_rows = learned(model.store, alone)
    with Store.open(tmp_path / "two") as store:
        assert [s.kind for s in store.all_sessions()] == ["init", "learn"]
        assert verify(store, data=True) == []
        found, rows = learned(store, store.head)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-4, err_msg=key)
    for mine, theirs in zip(rows, expected_rows, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert any(v.any() for k, v in found.items() if "lora_B" in k), "nothing was learned"
