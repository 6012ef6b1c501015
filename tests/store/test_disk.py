"""A full disk, a read-only home and a file system that refuses: one clear line, nothing changed."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from store import LfsdError, ResourceError, Store, UsageError
from store.files import from_os_error
from store.text import byte_count, printable
from store.verify import verify
from tests.store.helpers import BASE, learn, run, state


def test_a_full_disk_at_every_size(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stops real writes, LMDB's own included, at any byte we choose."""
    home = tmp_path / "home"
    with Store.create(home, BASE) as store:
        learn(store, "V1")
    out = run(
        "import pathlib, resource, sys\n"
        "from store import ResourceError, Store\n"
        "from store.verify import verify\n"
        "from tests.store.helpers import learn, state\n"
        "home = pathlib.Path(sys.argv[1]); hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "def limit(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))\n"
        "size = (home / 'records' / 'data.mdb').stat().st_size; refused = 0\n"
        "with Store.open(home, write=True) as store:\n"
        "    for n in range(60):\n"
        "        before = state(store)\n"
        "        limit([100, 400, 1000, size, size + 5000][n % 5])\n"
        "        try: learn(store, f'T{n}', n)\n"
        "        except ResourceError as error:\n"
        "            refused += 1; assert 'no space' in error.message or 'full' in error.message\n"
        "            assert state(store) == before\n"
        "        limit(hard)\n"
        "        if state(store) == before: learn(store, f'T{n}', n)\n"
        "        assert state(store) != before\n"
        "    assert verify(store, data=True) == []\n"
        "    assert store.head.number == 61\n"
        "    limit(10)\n"
        "    try: store.put_blob(bytes(2_500_000))\n"
        "    except ResourceError as error: print(refused, error.message)\n",
        str(home),
    )
    refused, message = out.split(" ", 1)
    assert int(refused) >= 24
    assert "2.5 MB needed" in message and "free" in message
    assert list((home / "tmp").iterdir()) == []


def test_a_disk_that_is_full_for_real() -> None:
    """Learn on a file system of one megabyte until it is full; the old state stands each time."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
            capture_output=True, check=False,
        )  # fmt: skip
        if mounted.returncode != 0:
            pytest.skip("may not mount a file system")
        try:
            with Store.create(Path(folder) / "home", BASE) as store:
                for n in range(500):
                    before = state(store)
                    try:
                        learn(store, f"V{n}", n)
                    except ResourceError as error:
                        full = error
                        break
                assert "missing" in full.message and "nothing was changed" in full.message
                assert state(store) == before and verify(store, data=True) == []
                # To the last byte: no check foresees what another program writes meanwhile.
                with pytest.raises(OSError, match="No space"):
                    (Path(folder) / "filler").write_bytes(bytes(1 << 20))
                for change in (lambda: learn(store, "W", 9), lambda: store.put_blob(bytes(9999))):
                    with pytest.raises(ResourceError, match="space"):
                        change()
                    assert state(store) == before and verify(store, data=True) == []
                (Path(folder) / "filler").unlink()
                store.commit_rm("V0")
                assert verify(store, data=True) == []
        finally:
            subprocess.run(["umount", folder], check=True)


def test_room_is_asked_for_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    with Store.create(tmp_path / "home", BASE) as store:
        store.require_space(1_000_000, "learning")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2_000_000))
        store.require_space(1_000_000, "learning")
        with pytest.raises(ResourceError) as error:
            store.require_space(5_000_000, "learning: its checkpoints")
        assert "5.3 MB needed, 2.0 MB free, 3.3 MB missing" in error.value.message
        assert (
            "learning: its checkpoints" in error.value.message and "nothing" in error.value.message
        )


def test_a_read_only_home_can_be_read_and_not_written() -> None:
    """Run as a user without rights over the folder (root may write anywhere)."""
    with tempfile.TemporaryDirectory() as root:
        home = Path(root) / "home"
        Path(root).chmod(0o755)
        with Store.create(home, BASE) as store:
            learn(store, "V1")
        out = run(
            "import os, pathlib, stat, sys\n"
            "import numpy, safetensors.numpy, lmdb.verify, socket, encodings.idna\n"
            "from store import Store, UsageError\n"
            "from store.verify import verify\n"
            "from tests.store.helpers import BASE\n"
            "home = pathlib.Path(sys.argv[1]); paths = [home, *home.rglob('*')]\n"
            "user = 65534 if os.getuid() == 0 else os.getuid()\n"
            "for path in paths:\n"
            "    os.chown(path, user, -1)\n"
            "    path.chmod(0o500 if path.is_dir() else 0o400)\n"
            "if user != os.getuid(): os.setuid(user)\n"
            "with Store.open(home) as store:\n"
            "    assert verify(store, data=True) == []\n"
            "    print(store.concept('V1').token)\n"
            "for attempt in (lambda: Store.open(home, write=True),\n"
            "                lambda: Store.create(home / 'more', BASE)):\n"
            "    try: attempt()\n"
            "    except UsageError as error: print(error.message, '|', error.hint)\n",
            str(home),
        )
        for path in (home, *home.rglob("*")):
            path.chmod(0o700)
        token, opened, created = out.splitlines()
        assert token == "V1"
        assert "cannot write" in opened and str(home) in opened and "--home" in opened
        assert "cannot write" in created and "more" in created


def test_rationed_addresses_get_a_smaller_map(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Store.create(home, BASE) as store:
        learn(store, "V1")
    out = run(
        "import pathlib, resource, sys; from store import Store\n"
        "from tests.store.helpers import learn\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        "with Store.open(pathlib.Path(sys.argv[1]), write=True) as store:\n"
        "    learn(store, 'V2', 2); print(len(store.concepts()))\n",
        str(home),
    )
    assert out == "2\n"
    with Store.open(home) as store:
        assert verify(store, data=True) == []


def test_unknown_disk_errors_still_name_the_file() -> None:
    for code in range(1, 134):
        error = from_os_error(OSError(code, os.strerror(code)), "writing", Path("/x/\x1b[31my"))
        assert isinstance(error, LfsdError)
        assert "/x/" in error.message and "\x1b" not in error.message
    assert isinstance(from_os_error(OSError(28, ""), "writing", Path("/x"), 5), ResourceError)
    assert isinstance(from_os_error(OSError(30, ""), "writing", Path("/x")), UsageError)


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2**41, "2.2 TB")]
)
def test_byte_counts(size: int, said: str) -> None:
    assert byte_count(size) == said


def test_printable_escapes_what_a_terminal_would_obey() -> None:
    assert printable("héllo\x1b[2J\n\x9b\udcff") == "héllo\\x1b[2J\\n\\x9b\\udcff"
    assert len(printable("x" * 500)) == 120


def test_a_home_we_may_not_enter_is_not_called_empty() -> None:
    """`cannot read`, not `no store here`: a store that cannot be seen must not be made anew."""
    with tempfile.TemporaryDirectory() as root:
        home = Path(root) / "home"
        Store.create(home, BASE).close()
        home.chmod(0o000)
        out = run(
            "import os, pathlib, sys; from store import Store, UsageError\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            "for attempt in (Store.open, Store.exists):\n"
            "    try: attempt(pathlib.Path(sys.argv[1])); print('made it')\n"
            "    except UsageError as error: print(error.message)\n",
            str(home),
        )
        home.chmod(0o700)
        assert [line.startswith("cannot read") for line in out.splitlines()] == [True, True]
