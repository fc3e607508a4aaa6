"""F05: pages of a database that nothing is in, and that nobody gives back to the disk."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Finding, Status
from holdfast.doctor.probes import unread

FREE_BYTES_MIN = 64 << 20
FREE_SHARE_MIN = 0.5

_INCREMENTAL = 2  # PRAGMA auto_vacuum


@unread.probe
def free_pages(look: SqlLook) -> Iterator[Finding]:
    """Find databases of which half is free, and 64 MiB or more. Reads the header of each."""
    for database in look.target.databases:
        inspection = look.open(database)
        if inspection is None:
            continue
        with inspection.moment():
            page_bytes = inspection.number("PRAGMA page_size")
            pages = inspection.number("PRAGMA page_count")
            free = inspection.number("PRAGMA freelist_count")
            gives_back = inspection.number("PRAGMA auto_vacuum") == _INCREMENTAL
        if free * page_bytes < FREE_BYTES_MIN or free < pages * FREE_SHARE_MIN:
            continue
        yield Finding(
            id="free-pages",
            row="F05",
            status=Status.WARN,
            path=database.path,
            measured=f"{free:,} of its {pages:,} pages are free: {free * page_bytes:,} bytes, {free / pages:.0%}.",
            expected=f"Less than {FREE_SHARE_MIN:.0%} free, or less than {FREE_BYTES_MIN >> 20} MiB.",
            confidence=Confidence.CERTAIN,
            cause="Rows were deleted, and their pages kept for later ones. "
            + ("Its owner could give them back in small steps, and does not." if gives_back else "It never shrinks."),
            remedy="`holdfast doctor --plan` makes a plan that gives them back to the disk"
            + (", also while it is in use." if gives_back else " by writing it anew; for that, end what uses it."),
            repair="return-free-pages" if gives_back else "compact",
            details={"free_pages": free, "pages": pages, "page_bytes": page_bytes, "free_bytes": free * page_bytes},
        )
