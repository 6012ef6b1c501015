"""The queue: one job that needs the model at a time, quick ones at once."""

from pathlib import Path

from textual.app import App

from lfsd_cli.tui.job import Changed, Job, State, run


class Jobs:
    """All jobs of this run of the app, oldest first. Their messages go to the app."""

    def __init__(self, app: App[None], home: Path) -> None:
        self._app = app
        self._home = home
        self.all: list[Job] = []

    @property
    def running(self) -> Job | None:
        """The job that has the model now."""
        return next((j for j in self.all if j.state is State.RUNNING and not j.quick), None)

    @property
    def waiting(self) -> list[Job]:
        """Those that wait for it."""
        return [j for j in self.all if j.state is State.QUEUED and not j.quick]

    @property
    def unfinished(self) -> list[Job]:
        """Everything that has not ended."""
        return [j for j in self.all if not j.over]

    def submit(self, job: Job) -> Job:
        """Take a job on; it begins at once if it is quick or nothing else runs."""
        self.all.append(job)
        self._app.post_message(Changed(job))
        if job.quick:
            self._app.run_worker(run(job, self._home, self._app), group="quick")
        else:
            self._next()
        return job

    def stop(self, job: Job) -> None:
        """Ask a job to stop, or take it out of the queue."""
        job.stop()
        self._app.post_message(Changed(job))

    def _next(self) -> None:
        if self.running is None and self.waiting:
            job = self.waiting[0]
            job.state = State.RUNNING  # before the worker begins, so that none begins beside it
            self._app.run_worker(self._run(job), group="model")

    async def _run(self, job: Job) -> None:
        await run(job, self._home, self._app)
        self._next()
