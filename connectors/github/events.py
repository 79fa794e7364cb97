"""The history of a repository's issues: from its one list of events, or issue by issue where that proves too little."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from connectors.ahead import together
from connectors.answers import Answer
from connectors.base import Unreachable
from connectors.github.changes import PARENTED, TYPED
from connectors.github.client import GitHubClient
from connectors.github.listing import Listing, Refused, rows_of
from connectors.github.translate import issue_name, moment
from connectors.pacing import Priority

#: With more changed issues than this on a page, one list of all events is cheaper than the events of each.
EACH = 25
_PAGE = 100
#: No more of a repository's list is read; GitHub refuses it from about there on ("pagination is limited").
_MOST_PAGES = 400
#: What these tell is wanted; other events are dropped at once.
_WANTED = ("closed", "reopened", "labeled", "unlabeled", "milestoned", "demilestoned", *TYPED, *PARENTED)

Event = Mapping[str, Any]


class _Of(msgspec.Struct):
    """The issue that an event belongs to; the rest of it is not even decoded."""

    id: Any = None
    number: Any = None


class _Row(msgspec.Struct):
    id: Any = None
    event: Any = None
    created_at: Any = None
    label: Any = None
    milestone: Any = None
    state_reason: Any = None
    issue_type: Any = None
    prev_issue_type: Any = None
    parent_issue: Any = None
    issue: _Of | None = None


_ROWS = msgspec.json.Decoder(list[_Row])


def _event_rows(answer: Answer) -> list[_Row]:
    try:
        return _ROWS.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [_row(row) for row in rows_of(answer) if isinstance(row, dict)]


def _row(row: Mapping[str, Any]) -> _Row:
    of = row.get("issue")
    issue = _Of(of.get("id"), of.get("number")) if isinstance(of, dict) else None
    return _Row(**{name: row.get(name) for name in _Row.__struct_fields__ if name != "issue"}, issue=issue)


def _kept(rows: Iterable[_Row]) -> list[Event]:
    return [
        {
            "id": row.id,
            "event": row.event,
            "created_at": row.created_at if isinstance(row.created_at, str) else None,
            "label": _only(row.label, "name"),
            "milestone": _only(row.milestone, "title"),
            "state_reason": row.state_reason if isinstance(row.state_reason, str) else None,
        }
        | _more(row)
        for row in rows
        if _is_wanted(row)
    ]


def _more(row: _Row) -> dict[str, Any]:
    """What only few kinds of events tell: which type it was, and which parent, by ``owner/name/number``."""
    if row.event in TYPED:
        return {name: _only(getattr(row, name), "name") for name in ("issue_type", "prev_issue_type")}
    return {"parent_issue": issue_name(row.parent_issue)} if row.event in PARENTED else {}


def _is_wanted(row: _Row) -> bool:
    return isinstance(row.event, str) and row.event in _WANTED and isinstance(row.id, int) and abs(row.id) < 2**63


def _only(value: Any, key: str) -> dict[str, str] | None:
    found = _name(value, key)
    return None if found is None else {key: found}


class _Told(msgspec.Struct, frozen=True, gc=False):
    """One event of a repository's list, packed: tens of thousands are held at a time."""

    id: Any
    at: datetime | None
    issue: int | None
    number: int | None
    packed: bytes  #: the event in JSON; empty for one that is not wanted


def _packed(row: _Row) -> _Told:
    of = row.issue or _Of()
    issue, number = (one if isinstance(one, int) else None for one in (of.id, of.number))
    event = msgspec.json.encode(_kept((row,))[0]) if _is_wanted(row) else b""
    return _Told(row.id, moment(row.created_at), issue, number, event)


_EVENTS = msgspec.json.Decoder(list[dict[str, Any]])


class _Whole(msgspec.Struct):
    """All that a repository's list told, by issue. ``since`` is where it ends, when it is too long to be read whole;
    ``still`` says that the list is proven not to have moved while its pages were read side by side."""

    packed: dict[int, bytes] = {}  #: an issue's events in JSON, joined by commas
    since: datetime | None = None
    still: bool = False

    def events(self, issue: int) -> list[Event]:
        """What the list told about an issue."""
        return list(_EVENTS.decode(b"[" + self.packed.get(issue, b"") + b"]"))


class Histories:
    """The events of one repository's issues. The list of all is asked for when it is first wanted, and once.

    ``note`` is told the number and the id of every issue that the list names.
    """

    def __init__(
        self, client: GitHubClient, repository: str, note: Callable[[int, int], None], priority: Priority
    ) -> None:
        self._client = client
        self._home = f"repositories/{repository}/issues"
        self._note = note
        self._priority = priority
        self._task: asyncio.Task[_Whole | None] | None = None

    async def of(self, rows: Sequence[Any]) -> dict[int, list[Event]]:
        """The events of these issues by their ids."""
        asked = [row for row in rows if _has_name(row)]
        whole = await self._all() if len(asked) > EACH else None
        if whole is None:
            return await self._each(asked)
        found = {row["id"]: whole.events(row["id"]) for row in asked}
        doubtful = [row for row in asked if not _told(whole, row, found[row["id"]])]
        return found | await self._each(doubtful)

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _all(self) -> _Whole | None:
        if self._task is None:
            self._task = asyncio.create_task(self._read())
        return await asyncio.shield(self._task)

    # -- issue by issue ----------------------------------------------------------------------------------------

    async def _each(self, rows: Sequence[Any]) -> dict[int, list[Event]]:
        told = await together(self._one(row["number"]) for row in rows)
        return {row["id"]: found for row, found in zip(rows, told, strict=True)}

    async def _one(self, number: int) -> list[Event]:
        found: dict[Any, Event] = {}
        try:
            path = f"{self._home}/{number}/events"
            async for page in self._client.pages(
                path, {"per_page": _PAGE}, decoded=_event_rows, priority=self._priority
            ):
                found |= {event["id"]: event for event in _kept(page.rows)}
        except Refused as error:
            if error.status not in (404, 410):
                raise
        return list(found.values())

    # -- the list of all ---------------------------------------------------------------------------------------

    async def _read(self) -> _Whole | None:
        """The list, its pages side by side; None where the host refuses it altogether.

        Newest first: new events push others to later pages, and those of a deleted issue pull others to earlier
        ones, past a reader. The first and the last page, read before and after all others, show whether that was so.
        """
        try:
            first = await self._page(1)
            if first.next is None:
                return _gathered({1: _all_packed(first)}, self._note, still=True)
            if first.last is None or first.last < 2:
                return await self._one_after_another(first)
            last = min(first.last, _MOST_PAGES)
            tail = await self._page(last)
            pages = await self._between(last)
            again = await together((self._page(1), self._page(last)))
        except Refused:
            return None
        still = [_ids(first.rows), _ids(tail.rows)] == [_ids(page.rows) for page in again]
        pages |= {1: _all_packed(first), last: _all_packed(tail), 0: _all_packed(again[0])}
        pages[last + 1] = _all_packed(again[1])
        whole = _gathered(pages, self._note, still=still)
        return msgspec.structs.replace(whole, since=_oldest(tail.rows) if again[1].next is not None else None)

    async def _page(self, number: int) -> Listing:
        return await self._client.page(
            f"{self._home}/events",
            {"per_page": _PAGE, "page": number},
            decoded=_event_rows,
            priority=self._priority,
        )

    async def _between(self, last: int) -> dict[int, list[_Told]]:
        """The pages after the first and before the last, in all lanes."""
        numbers = iter(range(2, last))
        pages: dict[int, list[_Told]] = {}

        async def lane() -> None:
            for number in numbers:
                pages[number] = _all_packed(await self._page(number))

        await together(lane() for _ in range(self._client.config.concurrency))
        return pages

    async def _one_after_another(self, first: Listing) -> _Whole:
        """Along the links, where the host does not tell how many pages there are."""
        pages, following, met, since = {1: _all_packed(first)}, first.next, set[str](), None
        while following is not None:
            if following in met:
                raise Unreachable("the pages of its events lead in a circle", source=self._client.config.name)
            met.add(following)
            if len(pages) >= _MOST_PAGES:
                since = min((one.at for one in pages[len(pages)] if one.at), default=None)
                break
            page = await self._client.page(following, decoded=_event_rows, priority=self._priority)
            pages[len(pages) + 1] = _all_packed(page)
            following = page.next
        return msgspec.structs.replace(_gathered(pages, self._note, still=False), since=since)


def _all_packed(page: Listing) -> list[_Told]:
    return [_packed(row) for row in page.rows]


def _gathered(pages: Mapping[int, Sequence[_Told]], note: Callable[[int, int], None], *, still: bool) -> _Whole:
    events: dict[int, dict[Any, bytes]] = {}
    for number in sorted(pages):
        for told in pages[number]:
            if told.issue is None:
                continue
            if told.number is not None:
                note(told.number, told.issue)
            if told.packed:
                events.setdefault(told.issue, {})[told.id] = told.packed
    return _Whole(packed={issue: b",".join(found.values()) for issue, found in events.items()}, still=still)


def _told(whole: _Whole, row: Mapping[str, Any], events: Sequence[Event]) -> bool:
    """Whether the list of all has told everything about an issue."""
    created = moment(row.get("created_at"))
    if whole.since is not None and (created is None or created <= whole.since):
        return False
    return whole.still or agrees(row, events)


def agrees(row: Mapping[str, Any], events: Sequence[Event]) -> bool:
    """Whether events lead from an open issue without labels and milestone to how it is now.

    Each is told at the creation, too; so one that is missing shows here.
    """
    state, labels, milestone = "open", set[Any](), None
    for event in sorted(events, key=lambda one: (str(one["created_at"]), str(one["id"]).zfill(20))):
        match event["event"]:
            case "closed":
                state = "closed"
            case "reopened":
                state = "open"
            case "labeled":
                labels.add(_name(event["label"], "name"))
            case "unlabeled":
                labels.discard(_name(event["label"], "name"))
            case "milestoned":
                milestone = _name(event["milestone"], "title")
            case "demilestoned" if milestone == _name(event["milestone"], "title"):
                milestone = None
    now = {_name(one, "name") for one in row.get("labels") or ()}
    return (state, labels, milestone) == (row.get("state"), now, _name(row.get("milestone"), "title"))


def _name(value: Any, key: str) -> Any:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None


def _has_name(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("id"), int) and isinstance(row.get("number"), int)


def _ids(rows: Iterable[_Row]) -> list[Any]:
    return [row.id for row in rows]


def _oldest(rows: Iterable[_Row]) -> datetime | None:
    return min((found for row in rows if (found := moment(row.created_at))), default=None)
