"""A repository's issues by ``updated_at``, to a proven end, whatever changes or is lost on the way."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec

from connectors.base import Unreachable
from connectors.github.client import GitHubClient
from connectors.github.conditional import Stored
from connectors.github.listing import Listing
from connectors.github.translate import moment
from connectors.pacing import Priority

PAGE = 100
#: What becomes of an issue; the rest, such as its text, is dropped at once.
_KEPT = (
    "id", "node_id", "number", "state", "state_reason", "title", "labels", "milestone", "type", "pull_request",
    "parent_issue_url", "issue_dependencies_summary", "created_at", "updated_at", "closed_at", "html_url",
)  # fmt: skip
#: GitHub lists nothing for a ``since`` of 1970; nothing there is older than GitHub, but for imported dates.
_FOUNDED = datetime(2008, 1, 1, tzinfo=UTC)
#: So many issues are remembered before those that changed before the anchor are forgotten.
_MOST_KNOWN = 5_000
#: GitHub refuses page numbers from here on.
_MOST_NUMBERS = 99


class Withheld(Exception):
    """A list from which some is left out for lack of single sign-on; ``said`` is the host's header."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class Batch(msgspec.Struct, frozen=True):
    """Issues that are new or changed since an earlier batch of the same pass; everything up to ``anchor`` is read."""

    rows: list[Any]
    anchor: datetime | None


async def issues(
    client: GitHubClient,
    repository: str,
    anchor: datetime | None,
    began: datetime,
    stored: Stored | None = None,
    *,
    priority: Priority = Priority.POLL,
) -> AsyncGenerator[Batch, None]:
    """Issues changed at or after ``anchor`` (None: all), oldest change first.

    Every page but the first is asked for from the last ``updated_at`` on: an issue that changes meanwhile moves to
    the end and pushes no other over a page's border. Inside one second the host's own links lead on. The end is a
    page that holds nothing new and names no next one, so that a lost link, or a page cut short, ends nothing early.
    What changed after ``began``, the host's time at the start of the pass, belongs to the next pass.

    With ``stored`` pages are asked for by their ETags, and a first page that was proven to be the whole list is the
    end while it is unchanged.

    Raises Withheld, and Unreachable where the list repeats itself.
    """
    where = f"repositories/{repository}/issues"
    remember, first, batches = stored is not None, anchor, 0
    known: dict[Any, Any] = {}
    forgotten: datetime | None = None  # what changed last before this was read, whether or not it is still known
    follow: str | None = None
    number, barren = 1, 0
    while True:
        asked = (follow, None) if follow else (where, _asked(anchor, number))
        page = await client.page(*asked, remember=remember, priority=priority)
        if "partial-results" in page.partial:
            raise Withheld(page.partial)
        rows = [kept(row) for row in page.rows]
        fresh = [row for row in rows if known.get(_key(row)) != _updated(row) and not _before(row, forgotten)]
        known |= {_key(row): _updated(row) for row in fresh}
        last, in_order = _last(rows)
        moved = in_order and last is not None and last >= _FOUNDED and (anchor is None or last > anchor)
        anchor = last if moved else anchor
        if fresh:
            batches += 1
            yield Batch(fresh, anchor)
            if stored is not None and batches == 1 and page.unchanged and first is not None and stored.whole == first:
                return
        if moved and last is not None and len(known) > _MOST_KNOWN:
            forgotten = last
            known = {key: at for key, at in known.items() if not _is_before(at, last)}
        late = moved and last is not None and last > began
        if page.next is None and len(rows) < PAGE and (late or not fresh):
            if stored is not None:
                stored.whole = first if batches == 1 and not fresh else None
            return
        barren = 0 if fresh else barren + 1
        if barren > len(known) + 2 or (follow is not None and page.next == follow):
            raise Unreachable("the pages of its issues lead in a circle", source=client.config.name)
        follow, number = _further(page, moved=moved, number=number)
        if number > _MOST_NUMBERS:
            raise Unreachable("more issues changed at one moment than the host lists", source=client.config.name)


def _further(page: Listing, *, moved: bool, number: int) -> tuple[str | None, int]:
    """The next address, or none and the page's number from the anchor on."""
    if moved:
        return None, 1
    if page.next is not None:
        return page.next, number
    return None, number + 1


def _asked(anchor: datetime | None, number: int) -> dict[str, Any]:
    asked: dict[str, Any] = {"state": "all", "sort": "updated", "direction": "asc", "per_page": PAGE}
    if anchor is not None:
        asked["since"] = f"{anchor:%Y-%m-%dT%H:%M:%SZ}"
    if number > 1:
        asked["page"] = number
    return asked


def kept(row: Any) -> Any:
    """What we keep of an issue."""
    return {name: row[name] for name in _KEPT if name in row} if isinstance(row, dict) else row


def _key(row: Any) -> Any:
    found = row.get("id") if isinstance(row, dict) else None
    return found if isinstance(found, int) else repr(row)


def _updated(row: Any) -> Any:
    return (row.get("updated_at") if isinstance(row, dict) else None) or ""


def _before(row: Any, moment_: datetime | None) -> bool:
    return moment_ is not None and _is_before(_updated(row), moment_)


def _is_before(at: Any, other: datetime) -> bool:
    found = moment(at)
    return found is not None and found < other


def _last(rows: Sequence[Any]) -> tuple[datetime | None, bool]:
    """The last ``updated_at`` of a page; and whether the page is in order, as the host was asked to sort it."""
    times = [found for row in rows if (found := moment(_updated(row)))]
    return (times[-1] if times else None), all(one <= other for one, other in pairwise(times))
