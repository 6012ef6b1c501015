"""A store of another schema is refused by name, and left as it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from store import SchemaError, Store, UsageError
from store.env import Table
from store.reading import INFO
from store.schema import SCHEMA
from tests.store.helpers import BASE, REPO, learn


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "home", BASE) as store:
        learn(store, "V1")
    return tmp_path / "home"


def test_the_format_file_says_what_this_is(home: Path) -> None:
    content = json.loads((home / "format.json").read_bytes())
    assert content["format"] == "lfsd-store" and content["schema"] == SCHEMA
    with Store.open(home) as store:
        assert content["id"] == store.id
    assert json.loads(json.dumps(content)) == content


@pytest.mark.parametrize("write", [False, True])
def test_a_newer_schema_is_refused_by_name(home: Path, write: bool) -> None:
    path = home / "format.json"
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps({**content, "schema": 7, "compression": "zstd"}))
    before = {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}
    with pytest.raises(SchemaError, match=f"has schema 7; .* up to {SCHEMA}") as error:
        Store.open(home, write=write)
    assert isinstance(error.value, UsageError) and "upgrade" in error.value.hint
    assert {file: file.read_bytes() for file in home.rglob("*") if file.is_file()} == before


def test_a_newer_schema_in_the_records_alone_is_refused_too(home: Path) -> None:
    with Store.open(home, write=True) as store, store._records.write() as txn:
        txn.put(Table.META, INFO, replace(store._info, schema=9))
    with pytest.raises(SchemaError, match="schema 9"):
        Store.open(home)


def test_the_store_imports_nothing_heavy() -> None:
    code = (
        "import sys; import store, store.verify\n"
        "heavy = {'torch', 'diffusers', 'typer', 'rich', 'textual', 'lfsd', 'lfsd_cli', 'numpy'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
