"""Every schema there has been can be read or brought up to date; others are refused by name.

`fixtures/schema1` was written by lfsd 0.1.0 and is never regenerated: it must open for ever.
"""

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

import store.schema
from store import SchemaError, Store, StoreBusyError, UsageError
from store.env import Records, Table
from store.migrate import STEPS, migrate
from store.reading import INFO
from store.schema import SCHEMA, StoreInfo
from store.verify import verify_home
from tests.store.helpers import learn

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copytree(FIXTURES / "schema1", tmp_path / "home")
    return tmp_path / "home"


def test_there_is_a_fixture_and_a_way_for_every_schema() -> None:
    assert sorted(path.name for path in FIXTURES.iterdir()) == [
        f"schema{n}" for n in range(1, SCHEMA + 1)
    ]
    assert sorted(STEPS) == list(range(1, SCHEMA))


def test_a_store_of_schema_1_opens(home: Path) -> None:
    assert verify_home(home, data=True) == []
    with Store.open(home, write=True) as opened:
        assert [c.token for c in opened.concepts()] == ["V1", "MAX"]
        assert opened.session("1").metrics == {"fidelity": 0.5}
        assert len(opened.all_sessions()) == 5
        learn(opened, "V3", 3)
        opened.commit_rm("V1")
        opened.goto("0")
        opened.goto("1")
    assert verify_home(home, data=True) == []


def test_nothing_to_do(home: Path) -> None:
    done = migrate(home)
    assert (done.before, done.after, done.kept) == (SCHEMA, SCHEMA, None)


def test_an_older_schema_is_refused_with_the_command(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.schema, "SCHEMA", 2)
    with pytest.raises(SchemaError, match="has schema 1; this version works with") as error:
        Store.open(home)
    assert "lfsd store migrate" in error.value.hint and isinstance(error.value, UsageError)


def rename_noun(folder: Path) -> None:
    """A step as one would be: it rewrites records, their schema included."""
    records = Records.open(folder / "records")
    with records.write() as txn:
        info = txn.need(Table.META, INFO, StoreInfo)
        txn.put(Table.META, INFO, replace(info, schema=info.schema + 1))
    records.close()


def files(folder: Path) -> dict[str, bytes]:
    names = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("lock"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in names}


def test_steps_run_on_a_copy_and_the_old_store_is_kept(home: Path) -> None:
    before = files(home)
    done = migrate(home, steps={1: rename_noun, 2: rename_noun}, target=3)
    assert (done.before, done.after) == (1, 3)
    assert json.loads((home / "format.json").read_bytes())["schema"] == 3
    with pytest.raises(SchemaError, match="schema 3"):
        Store.open(home)
    kept = Path(done.kept or "")
    assert kept.name.startswith("home.schema1-") and files(kept) == before
    assert verify_home(kept, data=True) == []
    same = {name for name, content in files(home).items() if before.get(name) == content}
    assert set(before) - same == {"format.json", "records/data.mdb"}
    assert [p.name for p in home.parent.iterdir() if p.name.startswith(".")] == []


def test_a_step_that_fails_leaves_the_store_as_it_was(home: Path) -> None:
    before = files(home)

    def fail(folder: Path) -> None:
        rename_noun(folder)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        migrate(home, steps={1: fail}, target=2)
    assert files(home) == before and [p.name for p in home.parent.iterdir()] == ["home"]
    with Store.open(home, write=True), pytest.raises(StoreBusyError):
        migrate(home, steps={1: rename_noun}, target=2)
    with pytest.raises(SchemaError, match="no way leads from schema 2"):
        migrate(home, steps={1: rename_noun}, target=3)
    content = json.loads((home / "format.json").read_bytes())
    (home / "format.json").write_text(json.dumps({**content, "schema": 9}))
    with pytest.raises(SchemaError, match="schema 9"):
        migrate(home)
