"""What `lfsd learn` answers: the photos it would use, or the session it learned."""

from pathlib import Path
from typing import TYPE_CHECKING

from lfsd_cli.context import Call
from lfsd_cli.documents import SCHEMA, learned_session
from lfsd_cli.forgetting import print_quick_check
from lfsd_cli.progress import Narrator
from lfsd_cli.text import human_seconds, plural

if TYPE_CHECKING:
    from lfsd.photos import Intake
    from store.records import Session


def show_intake(
    call: Call, narrator: Narrator, intake: "Intake", token: str, class_noun: str
) -> int:
    """Show what would be used; returns how many photos would be refused."""
    from lfsd.contact_sheet import contact_sheet

    for text in intake.warnings:
        narrator.say(f"note: {text}")
    path = Path.cwd() / f"lfsd-photos-{token}.png"
    contact_sheet(intake.photos, intake.refused).save(path)

    def human() -> None:
        call.out.table(
            ["photo", "crop", "caption"],
            [[p.name, "{}, {} to {}, {}".format(*p.crop), p.caption or ""] for p in intake.photos],
        )
        for refusal in intake.refused:
            call.out.line(f"refused {refusal.file}: {refusal.reason}")
        call.out.line(f"what the model will see: {path}")
        call.out.note("nothing was learned; leave out --dry-run to begin")

    call.out.result(
        {
            "schema": SCHEMA,
            "dry_run": True,
            "token": token,
            "class": class_noun,
            "photos_used": [
                {"file": p.name, "crop": list(p.crop), "caption": p.caption} for p in intake.photos
            ],
            "photos_refused": [{"file": r.file, "reason": r.reason} for r in intake.refused],
            "warnings": list(intake.warnings),
            "contact_sheet": str(path),
        },
        human=human,
        quiet=[path],
    )
    return len(intake.refused)


def show_session(call: Call, narrator: Narrator, session: "Session") -> int:
    """Print what was learned; returns how many photos were refused."""
    concept = session.concept
    assert concept is not None
    document: dict[str, object] = {"schema": SCHEMA, "session": learned_session(session)}
    if narrator.contact_sheet is not None:
        document["contact_sheet"] = str(narrator.contact_sheet)

    def human() -> None:
        out = call.out
        used = plural(len(concept.photos), "photo")
        out.line(
            f"session {session.number}: learned {concept.token} ({concept.class_noun}) "
            f"from {used} in {human_seconds(session.seconds)}"
        )
        for refusal in concept.refused:
            out.line(f"  refused {refusal.file}: {refusal.reason}")
        if narrator.contact_sheet is not None:
            out.line(f"  what the model saw: {narrator.contact_sheet}")
        print_quick_check(out, session.metrics)
        out.note()
        out.note(f'next: lfsd gen "a {concept.token} {concept.class_noun} on a beach"')

    call.out.result(document, human=human, quiet=[session.id])
    return len(concept.refused)
