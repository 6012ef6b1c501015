"""Writing the records anew, without the pages that earlier versions of them left free."""

from store.errors import StoreCorruptError
from store.pages import walk
from store.store import Store


def compact(store: Store) -> tuple[int, int]:
    """Replace the records file by a copy without free pages; returns its bytes before and after.

    The copy is complete, checked and durable before one rename puts it in place. StoreBusyError
    while another process reads the store.
    """
    path = store.home / "records" / "data.mdb"
    before = path.stat().st_size
    draft = store.draft_folder("compact")
    store.copy_records(draft)
    if problems := walk(draft / "data.mdb"):
        raise StoreCorruptError(f"the compacted records are damaged: {problems[0]}")
    store.replace_records(draft / "data.mdb")
    draft.rmdir()
    return before, path.stat().st_size
