"""What every connector offers, and its errors, grouped by what the caller should do about them."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from schemas.boards import BoardItem
from schemas.work import Availability, Gap, Milestone, Quarantined, WorkItem

if TYPE_CHECKING:
    from connectors.hooks import Delivery


class ConnectorError(Exception):
    """A tracker could not be read; ``source`` and ``container`` say where."""

    def __init__(self, message: str, *, source: str = "", container: str = "") -> None:
        self.source = source
        self.container = container
        where = " ".join(part for part in (source, container) if part)
        super().__init__(f"{where}: {message}" if where else message)


class Retriable(ConnectorError):
    """Nothing is lost: the same request may succeed later (connection, 5xx, truncated answer)."""


class Unreachable(Retriable):
    """The tracker did not answer, or answered what no tracker answers, as often as we may ask. Exit code 5."""


class RateLimited(Retriable):
    """The tracker asks us to wait until ``until``; nothing may be sent for ``reason`` before then."""

    def __init__(self, until: datetime, reason: str, *, source: str = "") -> None:
        self.until = until
        self.reason = reason
        super().__init__(f"the tracker asks us to wait until {until:%Y-%m-%d %H:%M:%S} UTC ({reason})", source=source)


class Spared(RateLimited):
    """What is left of the tracker's budget until then is kept for live work; this was none, and begins again then."""


class Skippable(ConnectorError):
    """One container or item cannot be read; the rest goes on. ``gap`` is what to report."""

    def __init__(self, gap: Gap) -> None:
        self.gap = gap
        super().__init__(gap.detail or gap.reason, source=gap.source, container=gap.container)


class Fatal(ConnectorError):
    """Nothing more can be read until a person changes something."""


class AuthenticationFailed(Fatal):
    """The tracker refuses the credential, or a login page stands in its place; ``fix`` mends it. Exit code 4."""

    def __init__(self, message: str, *, fix: str = "", source: str = "", container: str = "") -> None:
        self.fix = fix
        super().__init__(message, source=source, container=container)


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Errors in the block say which source they come from."""
    try:
        yield
    except RateLimited:
        raise
    except (Retriable, AuthenticationFailed) as error:
        if error.source:
            raise
        if isinstance(error, AuthenticationFailed):
            raise type(error)(str(error), fix=error.fix, source=source) from error
        raise type(error)(str(error), source=source) from error


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A Jira project or a GitHub repository that is to be read."""

    id: str  #: immutable
    key: str  #: project key or ``owner/name``; may change
    title: str = ""
    state: Literal["live", "archived", "trashed"] = "live"


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What a source offers us: containers to read, and gaps for those that cannot be."""

    containers: tuple[Container, ...]
    gaps: tuple[Gap, ...] = ()
    flavour: str = ""  #: ``jira-cloud``, ``jira-dc``, ``github.com``, ``ghes``
    version: str = ""
    server_time: datetime | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One durable step of a read: apply it and store ``checkpoint`` in the same transaction.

    ``checkpoint`` is opaque JSON of the connector's own; handing the last stored one back resumes after this
    page. ``complete`` marks the last page of a *proven* complete pass over the container; a pass that ends
    without it has failed and must be resumed. ``total`` is an estimate for the progress bar.
    """

    container: str
    items: tuple[WorkItem, ...] = ()
    milestones: tuple[Milestone, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    gaps: tuple[Gap, ...] = ()
    checkpoint: msgspec.Raw = msgspec.Raw(b"{}")
    complete: bool = False
    total: int | None = None


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A configured project board as it was read just now.

    ``items`` is None where nothing could be read: what was read last stands. Where it is ``complete``, what is not
    in it is not on the board any more, but for ``unseen`` entries, which are there and hidden from us. ``known`` is
    opaque JSON of the connector's own, to be handed back.
    """

    name: str  #: ``owner/number``, as configured
    items: tuple[BoardItem, ...] | None = None
    unseen: tuple[str, ...] = ()
    milestones: tuple[Milestone, ...] = ()  #: its iterations
    complete: bool = False
    gap: Gap | None = None
    known: msgspec.Raw = msgspec.Raw(b"{}")


class Ref(msgspec.Struct, frozen=True, kw_only=True):
    """A work item by its identity, and by the names under which the tracker answers for it."""

    uid: str
    key: str  #: the last known one: an issue's key, or ``owner/name#number``
    container: str  #: the container's immutable id


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """Every item that a container holds, proven complete: what it does not name is not listed there any more.

    ``present`` gives each uid the ``updated_at`` that the list shows; None where it shows none.
    """

    container: str  #: the container's immutable id
    present: dict[str, datetime | None]


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What the tracker says of items that were asked for one by one; every asked uid is in exactly one of the four.

    ``items`` are there (an item that moved to another container is among them, under its own uid and new key);
    ``left`` are not, and the tracker's own answer told why; ``unsure`` could not be told now, and is asked again.
    """

    items: tuple[WorkItem, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    left: dict[str, Availability] = {}
    unsure: tuple[str, ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``courseline check``: what was looked at, whether it is well, and how to mend it."""

    name: str
    ok: bool
    detail: str = ""
    fix: str = ""
    exit_code: Literal[0, 1, 4, 5] = 0  #: what it means for the command when not ok


class Connector(Protocol):
    """A tracker, read completely. Every call may raise Retriable, Skippable or Fatal; nothing else.

    Requests run in worker threads, one client each, so the event loop never blocks; waits the tracker asks for
    are obeyed exactly by a shared `Pacer`, whose clock and sleep are handed in.
    """

    source: str

    async def discover(self) -> Discovery:
        """The containers that the configuration names (all visible ones where it names none), with gaps."""
        ...

    async def boards(self, known: Mapping[str, bytes]) -> Sequence[Board]:
        """Every configured board, in the configured order; ``known`` is what each said of itself the last time."""
        ...

    def read(self, container: Container, checkpoint: bytes | None) -> AsyncIterator[Page]:
        """Everything that may have changed since ``checkpoint``: a backfill without one (or with an unfinished
        one, continued), an incremental poll after a complete one. Applying a page twice is harmless."""
        ...

    async def names(self, container: Container) -> Mapping[str, str]:
        """What labels, statuses, types and the like are called now that items of a container show, by kind and id.

        They are renamed without any item's change. A status's category stands behind its name, in a line of its own.
        """
        ...

    async def census(self, container: Container) -> Census:
        """Every item of a live container. Raises Retriable where completeness cannot be proven."""
        ...

    async def look(self, refs: Sequence[Ref], *, live: bool = True) -> Looked:
        """The present state of items by their identity, whole, with their history: what a census or a hook hints at.

        ``live`` where somebody just changed them: they are asked for before all else.

        An item that the tracker does not know is only ``left`` after it was proven that we may still see its
        container: access that was lost is told apart from what was deleted.
        """
        ...

    async def check(self) -> list[Check]:
        """Credential, scopes, visible containers, clock skew, rate limit left; each failure with its fix."""
        ...

    async def hooks(self, url: str, secret: str, *, install: bool) -> list[Check]:
        """Whether the tracker sends its hooks to ``url``, a line a registration; where ``install``, mended first.

        The one thing that is ever written to a tracker. Nothing but registrations for this very ``url`` is touched.
        """
        ...

    def forget_lists(self) -> None:
        """What is read once an hour is read with the next pass."""
        ...

    async def undelivered(self, since: datetime) -> Sequence["Delivery"]:
        """The hooks to us that failed since then and were not sent again, where the tracker keeps a list of them.

        Each is as good as one that arrives late: it carries its own id, so that one that did arrive has no effect.
        """
        ...

    @property
    def requests(self) -> int:
        """HTTP requests sent so far, retries included."""
        ...

    @property
    def waits_until(self) -> datetime | None:
        """When a wait that the tracker asked for ends; None where nothing is waited for."""
        ...

    async def close(self) -> None: ...
