"""Any sequence of operations, against a plain model that copies whole states."""

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from store import NewConcept, NotFoundError, Row, Store, UsageError, commit
from store.backup import backup, restore
from store.collect import collect
from store.trash import restore_trash
from store.verify import verify
from tests.store.helpers import BASE

TOKENS = st.sampled_from(["V1", "v1", "V2", "MAX", "max", "W"])


class Model(RuleBasedStateMachine):
    """`states` maps a session id to the concepts alive there: [(concept id, token)]."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0
        self.real_now, commit.now = commit.now, self.tick
        shm = Path("/dev/shm")
        self.folder = tempfile.mkdtemp(dir=shm if shm.is_dir() else None)
        self.store = Store.create(Path(self.folder) / "home", BASE)
        self.head = self.store.head.id
        self.parents: dict[str, str | None] = {self.head: None}
        self.states: dict[str, list[tuple[str, str]]] = {self.head: []}
        self.metrics: dict[str, dict[str, float]] = {self.head: {}}
        self.trashed: set[str] = set()
        self.seed = 0

    def tick(self) -> str:
        """A clock of its own: equal changes in one millisecond would be one session."""
        self.ticks += 1
        time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.ticks)
        return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def teardown(self) -> None:
        commit.now = self.real_now
        self.store.close()
        shutil.rmtree(self.folder)

    @property
    def alive(self) -> list[tuple[str, str]]:
        return self.states[self.head]

    def taken(self, token: str, but: str = "") -> bool:
        return any(t.lower() == token.lower() and c != but for c, t in self.alive)

    def committed(self, session: str, alive: list[tuple[str, str]]) -> None:
        self.parents[session], self.states[session] = self.head, alive
        self.metrics[session] = self.store.session(session).metrics
        self.head = session

    @rule(token=TOKENS)
    def learn(self, token: str) -> None:
        self.seed += 1
        blob = self.store.put_blob(b"adapter %d" % self.seed)
        concept = NewConcept(
            token=token, class_noun="cat", rows=(Row(0, token, (1,), bytes([self.seed % 256] * 4)),)
        )
        try:
            session = self.store.commit_learn(
                concept=concept, adapter=blob, settings={"seed": self.seed},
                metrics={"m": float(self.seed)}, versions={}, seconds=1,
            )  # fmt: skip
        except UsageError:
            assert self.taken(token)
            return
        assert not self.taken(token)
        assert session.concept is not None and session.concept.rows == concept.rows
        self.committed(session.id, [*self.alive, (session.concept.id, token)])

    @rule(token=TOKENS)
    def remove(self, token: str) -> None:
        try:
            session = self.store.commit_rm(token)
        except NotFoundError:
            assert token not in [t for _, t in self.alive]
            return
        self.committed(session.id, [(c, t) for c, t in self.alive if t != token])

    @rule(old=TOKENS, new=TOKENS)
    def rename(self, old: str, new: str) -> None:
        own = next((c for c, t in self.alive if t == old), None)
        try:
            session = self.store.commit_rename(old, new)
        except NotFoundError:
            assert own is None
            return
        except UsageError:
            assert own is not None and (old == new or self.taken(new, but=own))
            return
        self.committed(session.id, [(c, new if c == own else t) for c, t in self.alive])

    @rule()
    def undo(self) -> None:
        parent = self.parents[self.head]
        try:
            assert self.store.undo().id == parent
            self.head = parent or ""
        except UsageError:
            assert parent is None

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data())
    def goto(self, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(sorted(set(self.states) - self.trashed)))
        assert self.store.goto(target).id == target
        self.head = target

    @rule(data=st.data(), value=st.floats(0, 1))
    def measure(self, data: st.DataObject, value: float) -> None:
        target = data.draw(st.sampled_from(sorted(set(self.states) - self.trashed)))
        self.store.update_metrics(target, {"m": value})
        self.metrics[target] = {"m": value}

    @rule()
    def collect(self) -> None:
        """What is off the line goes to the trash; the model remembers what it was."""
        gone = {session.id for session in collect(self.store, grace=timedelta(0)).sessions}
        assert gone == set(self.parents) - self.trashed - set(self.line())
        self.trashed |= gone

    @rule()
    def take_back(self) -> None:
        back = restore_trash(self.store)
        assert back.left == [] and set(back.sessions) == self.trashed
        self.trashed = set()

    @rule()
    def backup_and_restore(self) -> None:
        """The store becomes its own backup; the trash is not part of one."""
        home, copy = self.store.home, Path(self.folder) / "backup"
        backup(self.store, copy)
        self.store.close()
        restore(copy, home, replace=True)
        shutil.rmtree(copy)
        for session in self.trashed:
            del self.parents[session], self.states[session], self.metrics[session]
        self.trashed = set()
        self.store = Store.open(home, write=True)

    @rule()
    def reopen(self) -> None:
        home = self.store.home
        self.store.close()
        self.store = Store.open(home, write=True)

    @invariant()
    def same_as_the_model(self) -> None:
        assert self.store.head.id == self.head
        assert [(c.id, c.token) for c in self.store.concepts()] == self.alive
        for concept, token in self.alive:
            assert self.store.concept(token).id == concept
        line = [session.id for session in self.store.sessions()]
        for session in line:
            assert [(c.id, c.token) for c in self.store.concepts(session)] == self.states[session]
            assert self.store.session(session).metrics == self.metrics[session]
        assert line == self.line()
        there = {session.id for session in self.store.all_sessions()}
        assert there == set(self.states) - self.trashed
        assert verify(self.store, data=True) == []

    def line(self) -> list[str]:
        found: list[str] = []
        here: str | None = self.head
        while here is not None:
            found.insert(0, here)
            here = self.parents[here]
        return found


TestStateMachine = Model.TestCase
TestStateMachine.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
