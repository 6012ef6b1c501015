"""ls, show, log, rm, undo, goto: documents, tables and what they do to the store."""

import os
from pathlib import Path

import pytest

from store.store import Store
from tests.cli.conftest import BASE, Run, commit


def test_ls_document(run: Run, learned: Path) -> None:
    ran = run("ls", "--json")
    assert ran.code == 0 and ran.err == ""
    assert ran.document["schema"] == 1
    first, second = ran.document["concepts"]
    assert set(first) == {"token", "class", "session", "photos", "contexts", "bytes", "created"}
    assert (first["token"], first["class"], first["session"]) == ("V1", "cat", 1)
    assert (second["token"], second["class"], second["session"]) == ("V2", "teddy bear", 2)
    assert first["photos"] == 2 and first["contexts"] == 1
    with Store.open(learned) as store:
        concept = store.concept("V1")
        on_disk = sum(store.blob_path(sha).stat().st_size for sha in concept.blobs())
    assert first["bytes"] == on_disk + 16 * 4


def test_ls_as_table_and_quiet(run: Run, learned: Path) -> None:
    table = run("ls").out
    assert "token" in table and "teddy bear" in table
    assert run("ls", "-q").out == "V1\nV2\n"


def test_options_stand_before_or_after_the_verb(run: Run, learned: Path, tmp_path: Path) -> None:
    assert run("--json", "ls").out == run("ls", "--json").out
    elsewhere = tmp_path / "other"
    Store.create(elsewhere, BASE).close()
    assert run("ls", "--json", "--home", elsewhere).document["concepts"] == []
    assert run("--home", elsewhere, "ls", "--json").document["concepts"] == []
    assert len(run("ls", "--json").document["concepts"]) == 2


def test_ls_of_an_empty_store_says_what_to_type(run: Run, home: Path) -> None:
    Store.create(home, BASE).close()
    ran = run("ls")
    assert ran.code == 0 and ran.out == ""
    assert "lfsd learn" in ran.err


def test_ls_as_of_a_session(run: Run, learned: Path) -> None:
    tokens = [c["token"] for c in run("ls", "--at", "1", "--json").document["concepts"]]
    assert tokens == ["V1"]
    assert run("ls", "--at", "9").code == 4


def test_show(run: Run, learned: Path) -> None:
    concept = run("show", "V2", "--json").document["concept"]
    assert concept["token"] == "V2" and concept["context_photos"] == ["two.jpg"]
    assert concept["refused"] == [{"file": "broken.jpg", "reason": "truncated"}]
    assert concept["metrics"] == {"fidelity": {"V2": 0.75}}
    text = run("show", "V2").out
    for word in ("teddy bear", "two.jpg", "truncated", "1 min 01 s", "0.750"):
        assert word in text


def test_show_of_an_unknown_concept_is_4_and_suggests(run: Run, learned: Path) -> None:
    ran = run("show", "v1", "--json")
    assert ran.code == 4 and ran.out == ""
    assert ran.error["type"] == "NotFoundError" and ran.error["exit_code"] == 4
    assert "V1" in ran.error["message"] + ran.error["hint"]


def test_log_document(run: Run, learned: Path) -> None:
    document = run("log", "--json").document
    assert [s["number"] for s in document["sessions"]] == [2, 1, 0]
    assert document["head"] == document["sessions"][0]["id"]
    assert [s["kind"] for s in document["sessions"]] == ["learn", "learn", "init"]
    assert document["sessions"][0]["change"] == "learned V2 (teddy bear)"
    text = run("log").out
    assert "learned V1 (cat)" in text and "*" in text


def test_undo_goes_back_and_goto_forward(run: Run, learned: Path) -> None:
    head = run("log", "--json").document["head"]
    ran = run("undo", "--json")
    assert ran.code == 0
    assert ran.document["undone"]["id"] == head and ran.document["head"]["number"] == 1
    assert run("ls", "-q").out == "V1\n"
    assert run("log", "--all", "--json").document["sessions"][0]["on_line"] is False
    assert run("goto", head[:8]).code == 0
    assert run("ls", "-q").out == "V1\nV2\n"


def test_undo_leaves_blobs_and_rows_bit_identical(run: Run, learned: Path) -> None:
    def state() -> dict[str, bytes]:
        with Store.open(learned) as store:
            names = [store.head.adapter or "", *(n for c in store.concepts() for n in c.blobs())]
            found = {name: store.blob_path(name).read_bytes() for name in names}
            rows = {f"{c.token}/{r.encoder}": r.data for c in store.concepts() for r in c.rows}
            return found | rows

    before = state()
    with Store.open(learned, write=True) as store:
        commit(store, "V3", "dog", seed=3)
    assert state() != before
    assert run("undo").code == 0
    assert state() == before


def test_undo_of_nothing_is_usage(run: Run, home: Path) -> None:
    Store.create(home, BASE).close()
    ran = run("undo")
    assert ran.code == 2 and "nothing" in ran.err


def test_rm_and_undo(run: Run, learned: Path) -> None:
    ran = run("rm", "V1", "--json")
    assert ran.code == 0 and ran.document["session"]["kind"] == "rm"
    assert ran.document["session"]["change"] == "removed V1 (cat)"
    assert run("ls", "-q").out == "V2\n"
    assert "removed V1 (cat)" in run("log").out
    assert run("rm", "V1").code == 4
    assert run("undo").code == 0
    assert run("ls", "-q").out == "V1\nV2\n"


@pytest.mark.parametrize(
    "words", [("ls",), ("show", "V1"), ("log",), ("undo",), ("goto", "1"), ("rm", "V1")]
)
def test_without_a_store_every_command_says_so(run: Run, home: Path, words: list[str]) -> None:
    ran = run(*words)
    assert ran.code == 4
    assert str(home) in ran.err and ran.err.count("\n") <= 2
    assert not home.exists()


def test_reading_works_while_another_writes(run: Run, learned: Path) -> None:
    with Store.open(learned, write=True):
        assert run("ls").code == 0 and run("log").code == 0
        busy = run("undo", "--json")
    assert busy.code == 5 and f"process {os.getpid()}" in busy.error["message"]


def test_a_damaged_store_is_6(run: Run, learned: Path) -> None:
    data = next((learned / "records").glob("data.mdb"))
    raw = bytearray(data.read_bytes())
    for i in range(8192, len(raw), 97):
        raw[i] ^= 0xFF
    data.write_bytes(raw)
    ran = run("ls", "--json")
    assert ran.code == 6 and ran.error["type"] == "StoreCorruptError"


def test_escape_sequences_do_not_reach_the_terminal(run: Run, home: Path) -> None:
    with Store.create(home, BASE) as store:
        commit(store, "V1", "cat\x1b[31m\x07")
    for words in (["ls"], ["show", "V1"], ["log"], ["ls", "--json"]):
        ran = run(*words)
        assert "\x1b" not in ran.out + ran.err and "\x07" not in ran.out + ran.err
    assert "\\x1b" in run("ls").out
