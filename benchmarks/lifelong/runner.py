"""Every method through every session, with every seed; what is done already is not done again."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.lifelong.examine import Examination, save_photos
from benchmarks.lifelong.journal import Journal
from benchmarks.lifelong.memory import begin_peak, peak_bytes
from benchmarks.lifelong.methods import Method
from benchmarks.lifelong.methods.learner import Learner
from benchmarks.lifelong.protocol import Protocol, Session
from lfsd.base import BaseModel
from lfsd.generate import library_versions
from lfsd.judge import Judge
from lfsd.settings import Settings

COSTS = ("seconds", "cpu_seconds", "peak_bytes")
"""The figures of a line that differ from run to run."""


class Bench:
    """One protocol on one base. `run` may be called in any order and again after a kill."""

    def __init__(
        self,
        base: BaseModel,
        judge: Judge,
        protocol: Protocol,
        sessions: Sequence[Session],
        out: Path,
    ) -> None:
        self.base, self.judge, self.protocol, self.out = base, judge, protocol, out
        self.sessions = list(sessions)
        self.examination = Examination(base, judge, protocol, sessions)
        save_photos(self.sessions, out / "photos")

    def run(self, method: Method, seed: int) -> list[dict[str, Any]]:
        """The lines of all sessions, new or old.

        A method that takes over another's states wants that one run before, with the same seed.
        """
        journal, settings = self.journal(method.name, seed), self.settings(method, seed)
        journal.open(self.about(method, settings))
        done = len(journal.lines())
        if done == len(self.sessions):
            return journal.lines()
        learner = self.learner(method, seed)
        try:
            for number in range(1, done + 1):
                if own := self.own_state(method.name, seed, number):
                    learner.restore(own)
            for session in self.sessions[done:]:
                self._session(method, seed, learner, session, journal)
        finally:
            learner.close()
        return journal.lines()

    def journal(self, name: str, seed: int) -> Journal:
        """Where a method's lines and states are."""
        return Journal(self.out / name / f"seed-{seed}")

    def learner(self, method: Method, seed: int) -> Learner:
        """The method before its first session; the caller closes it."""
        return method.kind(self.base, self.settings(method, seed), self.sessions, method.weight)

    def own_state(self, name: str, seed: int, number: int) -> dict[str, Any]:
        """What a learner goes on from, of a session's file."""
        state = self.journal(name, seed).state(number)
        return {key: array for key, array in state.items() if not key.startswith("drawn/")}

    def states(self, method: Method, seed: int) -> Iterator[Learner]:
        """The learner after each session of a whole run; none of one that is not."""
        done = len(self.journal(method.name, seed).lines())
        if method.kind.afresh or done < len(self.sessions):
            return
        learner = self.learner(method, seed)
        try:
            for number in range(1, done + 1):
                learner.restore(self.own_state(method.name, seed, number))
                yield learner
        finally:
            learner.close()

    def settings(self, method: Method, seed: int) -> Settings:
        """lfsd's defaults, the protocol's budget, the method's changes."""
        return Settings().changed(**{**self.protocol.settings, **method.changes, "seed": seed})

    def about(self, method: Method, settings: Settings) -> dict[str, Any]:
        """What must be the same for a run to be gone on with."""
        return {
            "protocol": self.protocol.to_dict(),
            "photos": {s.token: [p.sha256 for p in s.photos] for s in self.sessions},
            "base": self.base.ref.sha256,
            "judge": self.judge.fingerprint,
            "device": self.base.device.type,
            "precision": str(self.base.dtype).removeprefix("torch."),
            "settings": settings.to_dict(),
            "weight": method.weight,
            "trained_as": method.trained_as,
            "versions": library_versions(),
        }

    def _session(
        self, method: Method, seed: int, learner: Learner, session: Session, journal: Journal
    ) -> None:
        number, full = session.number, self.protocol.examined(session.number)
        line: dict[str, Any] = {"session": number, "token": session.token, "full": full}
        state: dict[str, Any] = {}
        if full or not learner.afresh:
            line |= self._learn(method, seed, learner, session)
            first = self._first(journal, number)
            figures, drawn = self.examination.after(learner, number, first)
            line |= figures | {"bytes": learner.kept_bytes()}
            state = learner.state(session.token) | {f"drawn/{t}": a for t, a in drawn.items()}
        if number == len(self.sessions):
            self._sheets(learner, journal.folder / "pictures")
        journal.add(number, line, state)
        said = f"{line['new']:.3f}" if "new" in line else "not examined"
        print(f"{method.name} seed {seed} session {number} {session.token}: {said}", flush=True)

    def _learn(
        self, method: Method, seed: int, learner: Learner, session: Session
    ) -> dict[str, Any]:
        """Learn, or take over what was learned; what it cost."""
        if method.trained_as:
            learner.restore(self.own_state(method.trained_as, seed, session.number))
            line = self.journal(method.trained_as, seed).lines()[session.number - 1]
            return {key: line[key] for key in COSTS}
        begin_peak(self.base.device)
        began, worked = time.perf_counter(), time.process_time()
        learner.learn(session)
        costs = (
            time.perf_counter() - began,
            time.process_time() - worked,
            peak_bytes(self.base.device),
        )
        return dict(zip(COSTS, costs, strict=True))

    def _first(self, journal: Journal, number: int) -> dict[str, Any]:
        """Embeddings of every earlier concept's pictures when it was just learned."""
        tokens = [session.token for session in self.sessions[: number - 1]]
        states = [journal.state(n) for n in range(1, number)]
        pairs = zip(tokens, states, strict=True)
        return {t: state[f"drawn/{t}"] for t, state in pairs if f"drawn/{t}" in state}

    def _sheets(self, learner: Learner, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for session in self.sessions:
            self.examination.sheet(learner, session).save(folder / f"{session.token}.png")
