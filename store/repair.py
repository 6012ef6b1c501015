"""Putting a damaged store right from every copy there is; nothing is ever deleted.

A plan is made first from a survey. What is broken is moved to `aside/<date>/`; the records are
built anew beside the old ones and put in their place by one rename.
"""

import re
from pathlib import Path

import msgspec

from store import commit
from store.collected import FILE as MARKS
from store.collected import LOST
from store.env import Table
from store.errors import NotFoundError, StoreCorruptError
from store.lock import WriterLock
from store.pages import walk
from store.records import Session, replay
from store.schema import FORMAT_FILE, StoreInfo, check_format
from store.survey import Survey
from store.text import printable
from store.verify import verify_home

_SESSION = re.compile(r"s[0-9a-f]{31}")


class Step(msgspec.Struct, frozen=True):
    """One thing to do, in words; `lossy` if something that was known is not known after it."""

    what: str
    lossy: bool = False


class Plan(msgspec.Struct):
    """What to do, decided and not yet done."""

    info: StoreInfo
    head: str
    sessions: list[Session]
    metrics: dict[str, dict[str, object]]
    marks: dict[str, str]
    aside: list[Path]
    from_trash: dict[str, Path]
    write_files: list[Session]
    rebuild: bool
    write_format: bool
    write_marks: bool
    steps: list[Step]


class Repaired(msgspec.Struct, frozen=True):
    """What was done (or would be), where the broken things are now, what is still wrong."""

    steps: list[Step]
    aside: str | None
    problems: list[str]


def repair(home: Path, *, dry_run: bool = False, allow_loss: bool = False) -> Repaired:
    """Repair the store in `home`. StoreCorruptError, and nothing changed, if that would lose
    something and `allow_loss` is not given, or if there is nothing to rebuild from.

    NotFoundError where nothing looks like a store; SchemaError for a newer one.
    """
    from store.mend import mend

    home = home.absolute()
    if not any((home / name).exists() for name in (FORMAT_FILE, "records", "sessions")):
        raise NotFoundError(f"there is no store in {printable(str(home), 300)}", "see: lfsd init")
    lock = None if dry_run else WriterLock(home / "lock")
    try:
        plan = plan_repair(home)
        losses = [step.what for step in plan.steps if step.lossy]
        if losses and not (allow_loss or dry_run):
            raise StoreCorruptError(
                f"a repair would lose something, so nothing was changed: {losses[0]}"
                + (f" (and {len(losses) - 1} more)" if len(losses) > 1 else ""),
                "see all of it with --dry-run; restore a backup, or go on with --allow-loss",
            )
        if dry_run:
            return Repaired(plan.steps, None, [])
        aside = mend(home, plan) if plan.steps else None
    finally:
        if lock is not None:
            lock.release()
    return Repaired(plan.steps, None if aside is None else str(aside), verify_home(home, data=True))


def plan_repair(home: Path) -> Plan:
    """Decide what to do; reads everything, changes nothing."""
    steps: list[Step] = []
    format_ok = _format_ok(home)
    survey = Survey(home)
    structure = _structure_problems(home) if format_ok else _page_problems(home)
    sessions = _sessions(survey, bool(structure) or not survey.from_records, steps)
    root = next((session for session in sessions.values() if session.number == 0), None)
    info = survey.info(root)
    if info is None or root is None:
        raise StoreCorruptError(
            f"there is nothing left to rebuild {printable(str(home), 300)} from",
            "restore a backup: lfsd store restore SRC",
        )
    format_ok = format_ok and check_format(home) == (info.schema, info.id)
    if not format_ok:
        steps.append(Step(f"write {FORMAT_FILE} anew"))
    steps += [Step(f"move aside {path.relative_to(home)}: damaged") for path in survey.bad_files]
    steps += [Step(f"move aside {path.relative_to(home)}: damaged") for path in survey.bad_blobs]
    write = [s for s in sessions.values() if s.id not in survey.from_files]
    steps += [Step(f"write the file of session {s.number} ({s.id[:10]}) anew") for s in write]
    head = _head(survey, sessions, steps)
    from_trash, marks, head = _blobs(survey, sessions, head, steps)
    same = set(sessions) == set(survey.from_records) and head.id == survey.head()
    rebuild = bool(structure or survey.records.problems) or not same
    if rebuild:
        steps.append(Step(f"build the records anew from {len(sessions)} sessions"))
        if structure and not survey.metrics:
            steps.append(Step("figures measured after a session's commit cannot be read"))
    aside = [*survey.bad_files, *survey.bad_blobs]
    if survey.marks_damaged:
        aside.append(home / MARKS)
        steps.append(Step(f"write {MARKS} anew: it is damaged"))
    return Plan(
        info, head.id, list(sessions.values()), survey.metrics, marks, aside, from_trash, write,
        rebuild, not format_ok, survey.marks_damaged or marks != survey.marks, steps,
    )  # fmt: skip


def _format_ok(home: Path) -> bool:
    try:
        check_format(home)
    except (NotFoundError, StoreCorruptError):
        return False
    return True


def _structure_problems(home: Path) -> list[str]:
    """What is wrong with the records, as opposed to blobs and files beside them."""
    beside = [printable(str(home / name), 300) for name in ("sessions", "blobs", MARKS)]
    return [
        problem
        for problem in verify_home(home)
        if not any(name in problem for name in beside) and FORMAT_FILE not in problem
    ]


def _page_problems(home: Path) -> list[str]:
    try:
        return walk(home / "records" / "data.mdb")
    except StoreCorruptError as error:
        return [error.message]


def _sessions(survey: Survey, damaged: bool, steps: list[Step]) -> dict[str, Session]:
    """Every session that can be told whole, each after its parent.

    Files count where the records are damaged only: a session that is missing in sound records was
    collected, or never acknowledged.
    """
    found = dict(survey.from_records)
    if damaged or survey.records.problems:
        gone = survey.trashed_sessions()
        found |= {k: v for k, v in survey.from_files.items() if k not in gone}
    whole: dict[str, Session] = {}
    for session in sorted(found.values(), key=lambda s: (s.number, s.created, s.id)):
        if session.parent is None or session.parent in whole:
            whole[session.id] = session
        else:
            words = f"session {session.number} ({session.id[:10]}) follows one that is lost"
            steps.append(Step(words, lossy=True))
    named = {path.stem for path in survey.bad_files}
    named |= {key.decode("ascii", "replace") for key in survey.records.raw[Table.SESSIONS]}
    for name in sorted(named - set(found)):
        if _SESSION.fullmatch(name):
            steps.append(Step(f"session {name[:10]} cannot be read anywhere", lossy=True))
    return whole


def _head(survey: Survey, sessions: dict[str, Session], steps: list[Step]) -> Session:
    name = survey.head()
    if name in sessions:
        return sessions[name]
    newest = max(sessions.values(), key=lambda s: (s.created, s.number))
    steps.append(Step(f"stand at the newest session, {newest.number}: the head cannot be read"))
    return newest


def _blobs(
    survey: Survey, sessions: dict[str, Session], head: Session, steps: list[Step]
) -> tuple[dict[str, Path], dict[str, str], Session]:
    """Find what is missing: back from the trash, taken away on purpose, or lost."""
    marks = dict(survey.marks)
    back: dict[str, Path] = {}
    needed = _needed(sessions, head)
    missing = {
        sha: session
        for session in sessions.values()
        for sha in session.blobs()
        if sha not in survey.blobs and not marks.get(sha, "").startswith(LOST)
    }
    for sha, session in missing.items():
        if sha not in needed and (sha in marks or survey.marks_damaged):
            marks.setdefault(sha, f"collected before {commit.now()}")
        elif (path := survey.usable_in_trash(sha)) is not None:
            back[sha] = path
            steps.append(Step(f"bring blob {sha[:12]} back from the trash"))
        else:
            marks[sha] = f"{LOST}{commit.now()}"
            what = "the adapter" if sha == session.adapter else "a context or embedding"
            words = f"{what} of session {session.number} ({sha[:12]}) is lost"
            steps.append(Step(words, lossy=True))
    there = survey.blobs | set(back)
    standing = head
    while standing.adapter is not None and standing.adapter not in there:
        standing = sessions[standing.parent or ""]
    if standing is not head:
        words = f"stand at session {standing.number}: the adapter of session {head.number} is lost"
        steps.append(Step(words, lossy=True))
    return back, marks, standing


def _needed(sessions: dict[str, Session], head: Session) -> set[str | None]:
    """Name the blobs that the head needs: its adapter, and those of the concepts alive there."""
    line = _line(sessions, head)
    learned = {s.concept.id: s.concept for s in line if s.concept is not None}
    alive = replay(line[::-1]).values()
    return {head.adapter} | {sha for entry in alive for sha in learned[entry.concept].blobs()}


def _line(sessions: dict[str, Session], head: Session) -> list[Session]:
    line = [head]
    while line[-1].parent is not None:
        line.append(sessions[line[-1].parent])
    return line
