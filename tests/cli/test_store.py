"""`lfsd store ...`: documents, exit codes, and what each command leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

from store.store import Store
from tests.cli.conftest import BASE, Run


def damage(home: Path) -> None:
    """Change a few bytes in the middle of a blob."""
    path = next(p for p in sorted((home / "blobs").rglob("*")) if p.is_file())
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def test_the_group_alone_shows_its_help(run: Run) -> None:
    ran = run("store")
    assert ran.code == 2 and "verify" in ran.err + ran.out


def test_path(run: Run, home: Path) -> None:
    ran = run("store", "path", "--json")
    assert ran.code == 0 and ran.document == {"schema": 1, "path": str(home), "exists": False}
    Store.create(home, BASE).close()
    assert run("store", "path", "-q").out == f"{home}\n"
    assert run("store", "path", "--json").document["exists"] is True


def test_info(run: Run, learned: Path) -> None:
    document = run("store", "info", "--json").document["store"]
    assert document["path"] == str(learned) and document["schema"] == 1
    assert (document["concepts"], document["sessions"], document["head_number"]) == (2, 3, 2)
    assert document["parts"]["blobs"]["files"] == 6 and document["parts"]["records"]["bytes"] > 0
    assert document["base"]["id"] == "pocket" and document["writer"] is None
    run("undo")
    assert run("store", "info", "--json").document["store"]["sessions_off_line"] == 1
    with Store.open(learned, write=True):
        assert run("store", "info", "--json").document["store"]["writer"]["pid"] == os.getpid()
        text = run("store", "info").out
    for word in ("blobs/", "session 1", "pocket", f"process {os.getpid()}"):
        assert word in text


def test_verify_of_a_sound_store(run: Run, learned: Path) -> None:
    for words in ([], ["--data"]):
        ran = run("store", "verify", "--json", *words)
        assert ran.code == 0 and ran.document["ok"] and ran.document["problems"] == []
    assert "sound" in run("store", "verify").out
    assert run("store", "verify", "-q").out == ""


def test_verify_names_a_damaged_blob_and_ends_with_6(run: Run, learned: Path) -> None:
    damage(learned)
    assert run("store", "verify").code == 0, "the bytes are read with --data only"
    ran = run("store", "verify", "--data", "--json")
    assert ran.code == 6 and ran.err == "" and not ran.document["ok"]
    assert [str(learned / "blobs") in problem for problem in ran.document["problems"]] == [True]


def test_verify_of_a_store_that_cannot_be_opened(run: Run, learned: Path) -> None:
    for name in ("records/data.mdb", "format.json"):
        path = learned / name
        good = path.read_bytes()
        path.write_bytes(good[: len(good) // 2])
        ran = run("store", "verify", "--json")
        assert ran.code == 6 and Path(name).name in ran.document["problems"][0]
        path.write_bytes(good)
    (learned / "format.json").write_text(
        json.dumps({**json.loads((learned / "format.json").read_bytes()), "schema": 9})
    )
    assert run("store", "verify").code == 2, "a newer schema is no damage"


def test_compact(run: Run, learned: Path) -> None:
    with Store.open(learned, write=True) as store:
        for n in range(40):
            store.update_metrics("1", {"x": list(range(500 + n))})
        before = store.sessions(), store.concepts()
    ran = run("store", "compact", "--json")
    assert ran.code == 0
    assert ran.document["bytes_after"] < ran.document["bytes_before"]
    assert (learned / "records" / "data.mdb").stat().st_size == ran.document["bytes_after"]
    assert run("store", "verify", "--data").code == 0
    with Store.open(learned) as store:
        assert (store.sessions(), store.concepts()) == before


def test_unlock_names_a_living_writer_and_clears_a_dead_one(run: Run, learned: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import pathlib, sys; from store import Store\n"
            "store = Store.open(pathlib.Path(sys.argv[1]), write=True)\n"
            "print('held', flush=True); sys.stdin.read()",
            str(learned),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    (learned / "tmp" / "draft").write_bytes(b"x")
    busy = run("store", "unlock", "--json")
    assert busy.code == 5 and f"process {holder.pid}" in busy.error["message"]
    assert (learned / "tmp" / "draft").exists()
    holder.kill()
    holder.communicate()
    ran = run("store", "unlock", "--json")
    assert ran.code == 0 and ran.document["left_by"]["pid"] == holder.pid
    assert ran.document["drafts_removed"] == 1 and not (learned / "tmp" / "draft").exists()
    again = run("store", "unlock", "--json").document
    assert again["left_by"] is None and again["drafts_removed"] == 0


def test_without_a_store_each_command_says_so(run: Run, home: Path) -> None:
    for verb in ("info", "verify", "compact", "unlock", "gc", "repair", "migrate"):
        ran = run("store", verb)
        assert ran.code == 4 and str(home) in ran.err
        assert not home.exists()


def test_backup_and_restore(run: Run, learned: Path, tmp_path: Path) -> None:
    dest = tmp_path / "copy"
    ran = run("store", "backup", dest, "--json")
    assert ran.code == 0 and ran.document["path"] == str(dest) and ran.document["sessions"] == 3
    assert run("store", "backup", dest).code == 2, "it is not empty any more"
    assert run("ls", "-q", "--home", dest).out == "V1\nV2\n"
    run("rm", "V1")
    refused = run("store", "restore", dest, "--json")
    assert refused.code == 2 and "--replace" in refused.error["hint"]
    ran = run("store", "restore", dest, "--replace", "--json")
    assert ran.code == 0 and run("ls", "-q").out == "V1\nV2\n"
    assert run("ls", "-q", "--home", ran.document["moved_aside"]).out == "V2\n"
    damage(dest)
    assert run("store", "restore", dest, "--home", tmp_path / "third").code == 6
    assert not (tmp_path / "third").exists()


def test_gc_and_its_way_back(run: Run, learned: Path) -> None:
    run("undo")
    assert run("store", "gc", "--json").document["sessions"] == [], "the grace period"
    shown = run("store", "gc", "--grace", "0", "--dry-run", "--json").document
    assert [s["number"] for s in shown["sessions"]] == [2] and shown["trash"] is None
    done = run("store", "gc", "--grace", "0", "--json").document
    assert done["sessions"] == shown["sessions"] and Path(done["trash"]).is_dir()
    assert run("goto", shown["sessions"][0]["id"]).code == 4
    assert run("store", "gc", "--restore", "--dry-run").code == 2
    back = run("store", "gc", "--restore", "--json").document
    assert back["restored"] == [shown["sessions"][0]["id"]] and back["left"] == []
    assert run("goto", back["restored"][0]).code == 0 and run("ls", "-q").out == "V1\nV2\n"
    assert run("store", "gc", "--keep-sessions", "0").code == 2
    thinned = run("store", "gc", "--keep-sessions", "1", "--grace", "0", "--json").document
    assert thinned["thinned"] == [1]
    refused = run("undo", "--json")
    assert refused.code == 4 and "--restore" in refused.error["hint"]
    assert run("store", "verify", "--data").code == 0


def test_repair_and_migrate(run: Run, learned: Path) -> None:
    assert run("store", "repair", "--json").document["steps"] == []
    (learned / "records" / "data.mdb").write_bytes(b"")
    assert run("ls").code == 6
    shown = run("store", "repair", "--dry-run", "--json")
    assert shown.code == 0 and shown.document["steps"] and not shown.document["aside"]
    assert run("store", "repair", "--json").document["problems"] == []
    assert run("ls", "-q").out == "V1\nV2\n"
    damage(learned)
    refused = run("store", "repair", "--json")
    assert refused.code == 6 and "--allow-loss" in refused.error["hint"]
    assert run("store", "repair", "--allow-loss").code == 0
    assert run("store", "verify", "--data").code == 0
    assert run("store", "migrate", "--json").document == {
        "schema": 1, "before": 1, "after": 1, "kept": None,
    }  # fmt: skip
