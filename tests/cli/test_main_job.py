"""The main job through the command line, on a tiny base: init, learn, gen, report, bad input."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from base64 import b64decode
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lfsd.png import read_png
from store.store import Store
from tests.cli.conftest import Ran, Run
from tests.tiny import tiny_base

QUICK = ("--steps", 3, "--set", "pool_size=1", "--set", "distill_steps=4", "--preview-every", 0)


def photos(folder: Path, count: int = 3, *, hue: int = 0) -> Path:
    """A folder of small photos: a bright disc that moves over noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(hue)
    rows, columns = np.mgrid[0:96, 0:128]
    for i in range(count):
        pixels = rng.integers(60, 120, (96, 128, 3), dtype=np.uint8)
        disc = (rows - 48 - 4 * i) ** 2 + (columns - 50 - 12 * i) ** 2 < 30**2
        pixels[disc] = (230, 40 + 30 * hue, 40)
        Image.fromarray(pixels).save(folder / f"photo{i}.png")
    return folder


def snapshot(home: Path) -> tuple[str, list[str]]:
    """What must not change when a command fails: the head, and what it knows."""
    with Store.open(home) as store:
        return store.head.id, [concept.token for concept in store.concepts()]


@pytest.fixture
def fresh(run: Run, home: Path) -> Path:
    """A store on the tiny base, nothing learned."""
    assert run("init", "--base", tiny_base("pocket")).code == 0
    return home


@pytest.fixture
def taught(run: Run, fresh: Path, tmp_path: Path) -> Path:
    """V1 (cat) is learned, without measuring."""
    ran = run(
        "learn", photos(tmp_path / "cat"), "--token", "V1", "--class", "cat", *QUICK,
        "--set", "measure=false",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return fresh


def test_learn_document_and_quick_check(run: Run, fresh: Path, tmp_path: Path) -> None:
    folder = photos(tmp_path / "bear")
    ran = run("learn", folder, "--token", "V1", "--class", "teddy bear", *QUICK, "--json")
    assert ran.code == 0, ran.err
    session = ran.document["session"]
    assert set(session) == {
        "id", "number", "token", "class", "photos_used", "photos_refused", "steps", "seconds",
        "contexts", "adapter_sha256", "metrics",
    }  # fmt: skip
    assert (session["number"], session["token"], session["class"]) == (1, "V1", "teddy bear")
    assert (session["photos_used"], session["photos_refused"], session["steps"]) == (3, [], 3)
    assert "V1" in session["metrics"]["fidelity"]
    assert Path(ran.document["contact_sheet"]).is_file()
    with Store.open(fresh) as store:
        assert store.blob_path(session["adapter_sha256"]).is_file()


def test_learn_ends_with_what_to_type_next(run: Run, fresh: Path, tmp_path: Path) -> None:
    ran = run("learn", photos(tmp_path / "p"), "--token", "V1", "--class", "cat", *QUICK)
    assert ran.code == 0, ran.err
    assert "session 1: learned V1 (cat) from 3 photos" in ran.out
    assert "what the model saw:" in ran.out and "Forgetting check" in ran.out
    assert 'lfsd gen "a V1 cat on a beach"' in ran.err
    assert "it/s" in ran.err and "loss" in ran.err


def test_previews_are_pictures(run: Run, fresh: Path, tmp_path: Path) -> None:
    ran = run(
        "learn", photos(tmp_path / "p"), "--token", "V1", "--class", "cat", *QUICK[:-2],
        "--preview-every", 2, "--log-json",
    )  # fmt: skip
    lines = [json.loads(line) for line in ran.err.splitlines()]
    previews = [line for line in lines if line["event"] == "preview"]
    assert len(previews) == 1 and previews[0]["step"] == 2
    with Image.open(previews[0]["path"]) as picture:
        assert picture.format == "PNG"


def test_a_truncated_photo_is_refused_and_the_rest_used(
    run: Run, fresh: Path, tmp_path: Path
) -> None:
    folder = photos(tmp_path / "p")
    whole = tmp_path / "whole.jpg"
    Image.effect_noise((200, 200), 80).convert("RGB").save(whole)
    (folder / "broken.jpg").write_bytes(whole.read_bytes()[:2000])
    words = ("learn", folder, "--class", "cat", *QUICK, "--set", "measure=false", "--json")
    ran = run(*words, "--token", "V1")
    assert ran.code == 0, ran.err
    [refusal] = ran.document["session"]["photos_refused"]
    assert refusal["file"] == "broken.jpg" and refusal["reason"]
    strict = run(*words, "--token", "V2", "--strict")
    assert strict.code == 3 and strict.document["session"]["photos_used"] == 3


def test_dry_run_learns_nothing(run: Run, fresh: Path, tmp_path: Path) -> None:
    before = snapshot(fresh)
    folder = photos(tmp_path / "p")
    (folder / "notes.docx").write_text("x")
    ran = run("learn", folder, "--token", "V1", "--class", "cat", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    assert [p["file"] for p in document["photos_used"]] == [
        "photo0.png",
        "photo1.png",
        "photo2.png",
    ]
    assert document["photos_refused"][0]["file"] == "notes.docx"
    assert Path(document["contact_sheet"]).is_file()
    assert snapshot(fresh) == before


# ---- gen --------------------------------------------------------------------------------------
def test_gen_document_and_provenance(run: Run, taught: Path, tmp_path: Path) -> None:
    ran = run("gen", "a V1 cat on a beach", "-n", 2, "--seed", 7, "--steps", 2, "--grid", "--json")
    assert ran.code == 0, ran.err
    images = ran.document["images"]
    assert [image["seed"] for image in images] == [7, 8]
    assert all(image["concepts"] == ["V1"] for image in images)
    assert Path(ran.document["grid"]).is_file()
    made = read_png(Path(images[0]["path"]))
    assert made["seed"] == 7 and made["concepts"] == ["V1"] and made["session"]
    with Image.open(images[0]["path"]) as picture:
        assert picture.text["parameters"].startswith("a V1 cat on a beach\n")  # type: ignore[attr-defined]


def test_the_same_seed_twice_gives_the_same_pixels(run: Run, taught: Path, tmp_path: Path) -> None:
    words = ("gen", "a V1 cat", "--seed", 3, "--steps", 2, "--json")
    first, second = (run(*words).document["images"][0]["path"] for _ in range(2))
    assert first != second
    assert Path(first).read_bytes() == Path(second).read_bytes()


def test_a_prompt_without_a_concept_works(run: Run, taught: Path) -> None:
    ran = run("gen", "a cat on a beach", "--steps", 2, "-q")
    assert ran.code == 0 and Path(ran.out.strip()).is_file()


@pytest.mark.parametrize(("prompt", "word"), [("a v1 cat", "V1"), ("a V9 cat", "V9")])
def test_a_near_miss_is_told(run: Run, taught: Path, prompt: str, word: str) -> None:
    ran = run("gen", prompt, "--steps", 2)
    assert ran.code == 0 and word in ran.err


def test_gen_as_of_an_unknown_session_is_4(run: Run, taught: Path) -> None:
    assert run("gen", "a cat", "--as-of", "9", "--steps", 1).code == 4


def test_gen_as_of_the_beginning_is_the_base(run: Run, taught: Path) -> None:
    def pixels(*words: object) -> bytes:
        path = run("gen", "a cat", "--seed", 1, "--steps", 2, "-q", *words).out.strip()
        with Image.open(path) as picture:
            return picture.tobytes()

    assert pixels("--as-of", "0") != pixels()


def test_gen_guides_as_many_steps_as_it_is_told(run: Run, taught: Path) -> None:
    def pixels(*words: object) -> bytes:
        path = run("gen", "a V1 cat", "--seed", 1, "--steps", 4, "-q", *words).out.strip()
        with Image.open(path) as picture:
            return picture.tobytes()

    assert pixels("--guidance-fraction", "0.5") == pixels(), "what a narrow base has"
    assert pixels("--guidance-fraction", "1") != pixels()
    assert pixels("--guidance-fraction", "0") == pixels("--guidance", "1")
    assert run("gen", "a V1 cat", "--guidance-fraction", "2").code == 2


def test_gen_takes_a_subject_s_shape_from_a_context(run: Run, taught: Path) -> None:
    def pixels(prompt: str, *words: object) -> bytes:
        path = run("gen", prompt, "--seed", 1, "--steps", 4, "-q", *words).out.strip()
        with Image.open(path) as picture:
            return picture.tobytes()

    subject, none = "a V1 cat on a beach", "a cat on a beach"
    assert pixels(subject, "--context-blend", "0") != pixels(subject)
    assert pixels(subject, "--context-blend", "0.7") == pixels(subject), "what a narrow base has"
    assert pixels(none, "--context-blend", "0") == pixels(none)
    plain = pixels(subject, "--no-context", "--context-blend", "0")
    assert pixels(subject, "--no-context") == plain
    assert run("gen", "a V1 cat", "--context-blend", "2").code == 2


def test_rename_then_draw(run: Run, taught: Path) -> None:
    assert run("rename", "V1", "Max").code == 0
    assert run("gen", "a Max cat", "--steps", 1, "--json").document["images"][0]["concepts"] == [
        "Max"
    ]
    assert run("rename", "Max", "dog").code == 2
    assert run("rename", "V7", "Tom").code == 4


def test_export(run: Run, taught: Path, tmp_path: Path) -> None:
    ran = run("export", "V1", "--out", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    told = ran.document["export"]
    assert told["concepts"] == ["V1"] and told["format"] == "kohya"
    names = [Path(file).relative_to(tmp_path / "out").as_posix() for file in told["files"]]
    assert names == ["embeddings/V1.safetensors", "lora/lfsd-V1.safetensors", "README.txt"]
    assert all(Path(file).stat().st_size for file in told["files"])
    again = run("export", "V1", "--out", tmp_path / "out")
    assert again.code == 2 and "--force" in again.err
    assert run("export", "V1", "--out", tmp_path / "out", "--force").code == 0
    assert run("export", "V7", "--out", tmp_path / "no").code == 4
    assert run("export", "--at", "0", "--out", tmp_path / "no").code == 4
    (tmp_path / "file").touch()
    assert run("export", "--out", tmp_path / "file", "--force").code == 2
    assert run("export", "--out", "").code == 2
    assert not (tmp_path / "no").exists()


def test_report(run: Run, taught: Path) -> None:
    ran = run("report", "--quick", "--json", "--html", "page.html")
    assert ran.code == 0, ran.err
    report = ran.document["report"]
    assert set(report["fidelity"]) == {"V1"} and "cat" in report["rcf"]
    page = Path(ran.document["html"]).read_text()
    assert page.count("<img ") == page.count("data:image/png;base64,") == 4
    assert "session 1, seed 1000" in page and "now, seed 1001" in page
    measured = ("--seed", 1000, "--steps", 8, "--context-blend", 0, "-q")
    drawn = run("gen", "a photo of a V1 cat", *measured).out.strip()
    shown = re.findall(r"data:image/png;base64,([^\"]+)", page)[0]
    with Image.open(drawn) as one, Image.open(BytesIO(b64decode(shown))) as other:
        assert one.tobytes() == other.tobytes(), "shapes as the model has them, not the photos'"
    assert "Fidelity of each concept" in run("report", "--quick").out


# ---- bad input: one line, the right code, nothing changed -------------------------------------
def refused(ran: Ran, code: int) -> str:
    """Check the shape of a failure and return its message."""
    assert ran.code == code, ran.err
    assert ran.out == "" and "Traceback" not in ran.err
    errors = [line for line in ran.err.splitlines() if line.startswith("lfsd: error: ")]
    assert len(errors) == 1
    return errors[0]


def bomb(path: Path, side: int = 30_000) -> None:
    """A PNG of 30,000 x 30,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    squeeze = zlib.compressobj(9)
    row = b"\0" * (side // 8 + 1)
    pixels = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def learn(run: Run, folder: Path, token: str = "V5", noun: str = "cat") -> Ran:
    return run("learn", folder, "--token", token, "--class", noun, *QUICK)


def test_unusable_photos(run: Run, taught: Path, tmp_path: Path) -> None:
    before = snapshot(taught)
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    (tmp_path / "bomb").mkdir()
    bomb(tmp_path / "bomb" / "huge.png")
    for name in ("empty", "texts", "bomb", "missing"):
        assert name in refused(learn(run, tmp_path / name), 2)
    assert snapshot(taught) == before


@pytest.mark.parametrize("token", ["dog", "V1", "v1", "V1;rm", "", "1V", "V" * 40, "a b"])
def test_bad_tokens(run: Run, taught: Path, tmp_path: Path, token: str) -> None:
    before = snapshot(taught)
    refused(learn(run, photos(tmp_path / "p"), token), 2)
    assert snapshot(taught) == before


def test_unknown_bases(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "not-a-base").mkdir()
    for base in ("nobody/nothing-here", tmp_path / "not-a-base", "./no-such-folder"):
        refused(run("init", "--base", base), 8)
        assert not Store.exists(home)


def test_a_store_of_another_base(run: Run, home: Path, tmp_path: Path) -> None:
    from shutil import copytree

    base = tmp_path / "base"
    copytree(tiny_base("sd1"), base)
    assert run("init", "--base", base).code == 0
    config = base / "scheduler" / "scheduler_config.json"
    changed = json.loads(config.read_text()) | {"beta_end": 0.013}
    config.write_text(json.dumps(changed))
    refused(run("gen", "a cat", "--steps", 1), 2)


def test_init_twice(run: Run, fresh: Path) -> None:
    assert str(fresh) in refused(run("init", "--base", tiny_base("pocket")), 2)


def test_a_store_held_by_another_process(run: Run, taught: Path, tmp_path: Path) -> None:
    with Store.open(taught, write=True):
        refused(learn(run, photos(tmp_path / "p")), 5)


def test_a_home_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    message = refused(run("init", "--base", tiny_base("pocket"), "--home", "/proc/lfsd-home"), 2)
    assert "/proc/lfsd-home" in message


@pytest.fixture
def small_disk(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A file system of 4 MB, where the test may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small file system here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(run: Run, small_disk: Path, tmp_path: Path) -> None:
    home = small_disk / "home"
    assert run("init", "--base", tiny_base("pocket"), "--home", home).code == 0
    before = snapshot(home)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    folder = photos(tmp_path / "p")
    ran = run("learn", folder, "--token", "V1", "--class", "cat", *QUICK, "--home", home)
    refused(ran, 7)
    filler.unlink()
    assert snapshot(home) == before


# ---- stopping ---------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_checkpoints_and_resume_goes_on(
    run: Run, fresh: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    folder = photos(tmp_path / "p")
    words = [
        "learn", str(folder), "--token", "V1", "--class", "cat", "--steps", "60",
        "--set", "pool_size=1", "--set", "distill_steps=4", "--preview-every", "0",
        "--set", "measure=false", "--log-json",
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "lfsd_cli", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if '"event": "step"' in line:
            break
    process.send_signal(number)
    began = time.monotonic()
    _, rest = process.communicate(timeout=120)
    assert process.returncode == code, rest
    assert time.monotonic() - began < 60
    error = json.loads(rest.splitlines()[-1])["error"]
    assert error["exit_code"] == code
    assert "lfsd learn" in error["hint"] and error["hint"].endswith("--resume")
    assert snapshot(fresh)[1] == []
    ran = run(*words, "--resume")
    assert ran.code == 0, ran.err
    steps = [json.loads(line) for line in ran.err.splitlines() if '"event": "step"' in line]
    assert steps[0]["step"] > 1 and steps[-1]["step"] == 60
    assert snapshot(fresh)[1] == ["V1"]
