"""`lfsd doctor`: true facts, and an exit status that a script can use."""

from pathlib import Path

from lfsd_cli import health
from store.store import Store
from tests.cli.conftest import Run


def test_without_a_store(run: Run, home: Path) -> None:
    ran = run("doctor", "--json", "--device", "cpu")
    assert ran.code == 0, ran.err
    found = ran.document
    assert found["versions"]["lfsd"] and found["versions"]["torch"][0].isdigit()
    assert found["machine"]["device"] == "cpu" and found["machine"]["memory"] > 10**6
    assert found["base"]["id"] == "pocket" and found["base"]["pixels"] == 128
    assert found["store"]["exists"] is False and not home.exists()
    assert "everything needed is here" in run("doctor", "--device", "cpu").err


def test_a_store_and_a_damaged_one(run: Run, learned: Path) -> None:
    with Store.open(learned) as store:
        blob = store.blob_path(store.concepts()[0].blobs()[0])
    found = run("doctor", "--json").document["store"]
    assert (found["sessions"], found["concepts"], found["problems"]) == (2, 2, [])
    assert found["bytes"] > blob.stat().st_size
    blob.unlink()
    ran = run("doctor")
    assert ran.code == 6 and blob.name in ran.out
    assert run("doctor", "-q").out.count(blob.name) == 1


def test_a_base_that_has_gone(run: Run, learned: Path) -> None:
    facts = health.base({"base": "/nowhere/at/all"})
    assert "/nowhere/at/all" in facts["problem"]


def test_what_would_be_slow() -> None:
    cpu = {"device": "cpu", "precision": "float32", "memory": 3 * 10**9, "threads": 1}
    big = {"id": "sd", "pixels": 512}
    said = " ".join(health.slow(cpu, big, {"disk_free": 10**9}))
    for word in ("hours", "bf16", "one thread", "little memory", "little disk"):
        assert word in said
    gpu = {"device": "cuda:0", "precision": "bfloat16", "memory": 80 * 10**9}
    assert health.slow(gpu, big, {"disk_free": 10**12}) == []
