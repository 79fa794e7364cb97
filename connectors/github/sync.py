"""A GitHub host, read completely: keyset paging over ``updated_at``, so that drift while paging passes nothing over."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from connectors.base import (
    AuthenticationFailed,
    Check,
    ConnectorError,
    Container,
    Discovery,
    Page,
    RateLimited,
    Retriable,
    Skippable,
    Unreachable,
)
from connectors.github.client import GitHubClient, GitHubConfig, Listing, Refused
from connectors.github.translate import milestone, moment, work_item
from connectors.pacing import Clock, Priority
from connectors.text import clean
from schemas.work import Gap, Milestone, Quarantined, WorkItem, item_uid

PAGE = 100
#: Index lag and clock differences that a poll reaches back over.
OVERLAP = timedelta(minutes=5)
#: With more changed issues than this on a page, one list of all events is cheaper than the events of each.
_EACH = 25
#: GitHub refuses page numbers from here on.
_MOST_PAGES = 99
#: What events tell us; the rest of an event is dropped at once.
_KEPT = ("id", "event", "created_at", "label", "milestone", "state_reason")


class Checkpoint(msgspec.Struct):
    """Where the reading of a repository is: the anchor of an unfinished pass, or the start of the last whole one."""

    began: datetime | None = None  #: server time at the start of the pass in progress
    anchor: datetime | None = None  #: updated_at of the last issue that is stored
    cursor: datetime | None = None  #: server time at the start of the last complete pass


_CHECKPOINT: msgspec.json.Decoder[Checkpoint] = msgspec.json.Decoder(Checkpoint)


class GitHubConnector:
    """Reads one host. See `connectors.base.Connector` for what every method promises."""

    def __init__(self, config: GitHubConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.source = config.name
        self.client = GitHubClient(config, clock)
        self._ids: dict[str, int] = {}  # repository/number -> issue id, for parents

    @property
    def requests(self) -> int:
        return self.client.pacer.requests

    async def close(self) -> None:
        await self.client.close()

    # -- what there is -----------------------------------------------------------------------------------------

    async def discover(self) -> Discovery:
        """The repositories that are configured, by their immutable ids; those that cannot be read are gaps."""
        meta = await self._meta()
        found: dict[str, Container] = {}
        gaps: list[Gap] = []
        for name in self.config.repositories:
            try:
                row = await self.client.get(f"repos/{quote(name)}")
                one = _container(row)
                found[one.id] = one
            except Refused as error:
                gaps.append(_gap(self.source, name, error))
        for organization in self.config.organizations:
            try:
                await self._list_repositories(f"orgs/{quote(organization)}/repos", organization, found, gaps)
            except Refused as error:
                gaps.append(_gap(self.source, organization, error))
        if not self.config.repositories and not self.config.organizations:
            await self._list_repositories("user/repos", "*", found, gaps)
        version = str(meta.get("installed_version", ""))
        return Discovery(
            containers=tuple(found.values()),
            gaps=tuple(gaps),
            flavour="ghes" if version else "github.com",
            version=version,
            server_time=self.client.server_time,
        )

    async def _meta(self) -> Mapping[str, Any]:
        try:
            return await self.client.get("meta")
        except Refused as error:
            if error.status in (404, 403):
                raise Unreachable(
                    f"no GitHub answers here ({error.status}); on an Enterprise Server `url` ends in /api/v3",
                    source=self.source,
                ) from error
            raise Unreachable(str(error), source=self.source) from error

    async def _list_repositories(self, path: str, named: str, found: dict[str, Container], gaps: list[Gap]) -> None:
        page = await self.client.page(path, {"per_page": PAGE})
        while True:
            for row in page.rows:
                one = _container(row)
                found.setdefault(one.id, one)
            if page.partial:
                gaps.append(_partial(self.source, named, page.partial))
            if page.next is None:
                return
            page = await self.client.page(page.next)

    # -- reading -----------------------------------------------------------------------------------------------

    async def read(self, container: Container, checkpoint: bytes | None) -> AsyncIterator[Page]:
        """A backfill, its continuation, or a poll of one repository, page by page."""
        state = _CHECKPOINT.decode(checkpoint) if checkpoint else Checkpoint()
        try:
            milestones = await self._milestones(container)
            if state.began is None:
                state.began = self.client.server_time or self.client.pacer.clock.now()
            yield Page(container=container.key, milestones=tuple(milestones), checkpoint=_encoded(state))
            titles = {one.title: one.uid for one in milestones}
            reading = self._issues(container, state)
            async with _Events(self._all_events(container)) as events:
                async for rows in reading:
                    yield await self._page(container, state, rows, titles, events)
        except Refused as error:
            raise Skippable(_gap(self.source, container.key, error)) from error
        yield Page(container=container.key, checkpoint=_encoded(Checkpoint(cursor=state.began)), complete=True)

    async def _milestones(self, container: Container) -> list[Milestone]:
        path: str | None = f"repositories/{container.id}/milestones"
        params: dict[str, Any] | None = {"state": "all", "per_page": PAGE}
        found: dict[str, Milestone] = {}
        while path is not None:
            page = await self.client.page(path, params)
            self._refuse_partial(container, page)
            for row in page.rows:
                one = milestone(row, self.source, container.key)
                if one is not None:
                    found[one.uid] = one
            path, params = page.next, None
        return list(found.values())

    def _refuse_partial(self, container: Container, page: Listing) -> None:
        if "partial-results" in page.partial:
            raise Skippable(_partial(self.source, container.key, page.partial))

    async def _issues(self, container: Container, state: Checkpoint) -> AsyncIterator[list[Any]]:
        """Pages of issues by ``updated_at``, oldest first, each anchored at the last one before it."""
        path = f"repositories/{container.id}/issues"
        anchor = state.anchor or (state.cursor - OVERLAP if state.cursor else None)
        known: dict[int, Any] = {}
        follow: str | None = None
        while True:
            if follow is not None:
                page = await self.client.page(follow)
            else:
                since = {"since": f"{anchor:%Y-%m-%dT%H:%M:%SZ}"} if anchor else {}
                asked = {"state": "all", "sort": "updated", "direction": "asc", "per_page": PAGE}
                page = await self.client.page(path, asked | since)
            self._refuse_partial(container, page)
            fresh = [row for row in page.rows if known.get(_id(row)) != row.get("updated_at")]
            known |= {_id(row): row.get("updated_at") for row in fresh}
            if fresh:
                yield fresh
            if page.next is None and (len(page.rows) < PAGE or not fresh):
                return
            last = max((found for row in page.rows if (found := moment(row.get("updated_at")))), default=anchor)
            # A page without a next that is full may have lost its Link on the way: ask once more from its end.
            moved = last is not None and (anchor is None or last > anchor)
            follow = None if moved else page.next
            if not moved and page.next is None:
                return
            anchor = last

    async def _page(
        self, container: Container, state: Checkpoint, rows: Sequence[Any], titles: Mapping[str, str], events: "_Events"
    ) -> Page:
        for row in rows:
            if isinstance(row.get("number"), int) and isinstance(row.get("id"), int):
                self._ids[f"{container.key.lower()}/{row['number']}"] = row["id"]
        told = await self._events_of(container, rows, events)
        parents = {_id(row): await self._parent(row) for row in rows}
        entries = [
            work_item(
                row, told.get(_id(row), []), source=self.source, container=container.key,
                parent=parents[_id(row)], titles=titles,
            )
            for row in rows
        ]  # fmt: skip
        state.anchor = max((found for row in rows if (found := moment(row.get("updated_at")))), default=state.anchor)
        return Page(
            container=container.key,
            items=tuple(entry for entry in entries if isinstance(entry, WorkItem)),
            quarantined=tuple(entry for entry in entries if isinstance(entry, Quarantined)),
            checkpoint=_encoded(state),
        )

    async def _parent(self, row: Mapping[str, Any]) -> str | None:
        """The uid of the issue that ``parent_issue_url`` points to; None where it points nowhere we may look."""
        url = row.get("parent_issue_url")
        if not isinstance(url, str) or not url:
            return None
        parts = urlsplit(url).path.strip("/").split("/")
        if len(parts) < 4 or not parts[-1].isdigit():
            return None
        owner, name, number = parts[-4], parts[-3], parts[-1]
        known = f"{owner}/{name}/{number}".lower()
        if known not in self._ids:
            try:
                found = await self.client.get(f"repos/{quote(owner)}/{quote(name)}/issues/{number}")
            except Refused:
                return None
            if not isinstance(found.get("id"), int):
                return None
            self._ids[known] = found["id"]
        return item_uid(self.source, "issue", self._ids[known])

    # -- events ------------------------------------------------------------------------------------------------

    async def _events_of(
        self, container: Container, rows: Sequence[Any], events: "_Events"
    ) -> dict[int, list[Mapping[str, Any]]]:
        if len(rows) > _EACH:
            try:
                whole = await events.get()
            except Refused:
                whole = None  # the list is refused here; the events of each are asked for
            if whole is not None:
                return {_id(row): whole.get(_id(row), []) for row in rows}
        asked = [row for row in rows if isinstance(row.get("number"), int)]
        told = await asyncio.gather(*(self._issue_events(container, row["number"]) for row in asked))
        return {_id(row): found for row, found in zip(asked, told, strict=True)}

    async def _issue_events(self, container: Container, number: int) -> list[Mapping[str, Any]]:
        path: str | None = f"repositories/{container.id}/issues/{number}/events"
        params: dict[str, Any] | None = {"per_page": PAGE}
        found: list[Mapping[str, Any]] = []
        while path is not None:
            try:
                page = await self.client.page(path, params, priority=Priority.HISTORY)
            except Refused as error:
                if error.status in (404, 410):
                    return found
                raise
            found += [_kept(row) for row in page.rows]
            path, params = page.next, None
        return found

    async def _all_events(self, container: Container) -> dict[int, list[Mapping[str, Any]]] | None:
        """Every issue's events from the repository's one list; None where that list is too long to be read whole.

        Pages are asked for side by side where the list tells its last page.
        """
        path = f"repositories/{container.id}/issues/events"
        found: dict[int, list[Mapping[str, Any]]] = {}

        def take(rows: Sequence[Any]) -> None:
            for row in rows:
                issue = row.get("issue")
                if isinstance(issue, Mapping) and isinstance(issue.get("id"), int):
                    found.setdefault(issue["id"], []).append(_kept(row))

        number, lanes = 1, max(1, self.config.concurrency - 1)
        while number <= _MOST_PAGES:
            numbers = range(number, min(number + lanes, _MOST_PAGES + 1))
            pages = await asyncio.gather(
                *(self.client.page(path, {"per_page": PAGE, "page": at}, priority=Priority.HISTORY) for at in numbers)
            )
            for page in pages:
                take(page.rows)
                if page.next is None:
                    return found
            number += lanes
        return None

    # -- check -------------------------------------------------------------------------------------------------

    async def check(self) -> list[Check]:
        """Address and credential, repositories, clock, rate limit."""
        name = self.source
        try:
            found = await self.discover()
        except AuthenticationFailed as error:
            fix = "make a new token with read access to issues, pull requests and metadata, into the token file"
            return [Check(name=f"{name}: credential", ok=False, detail=str(error), fix=fix, exit_code=4)]
        except (Retriable, RateLimited) as error:
            fix = "check `url` and the network; `curl URL/meta` should answer"
            return [Check(name=f"{name}: reachable", ok=False, detail=str(error), fix=fix, exit_code=5)]
        except ConnectorError as error:
            return [Check(name=f"{name}: configuration", ok=False, detail=str(error), exit_code=1)]
        checks = [
            Check(name=f"{name}: credential", ok=True, detail=f"{found.flavour} {found.version}".strip()),
            Check(name=f"{name}: repositories", ok=True, detail=", ".join(one.key for one in found.containers)),
        ]
        checks += [
            Check(name=f"{name}: {gap.container}", ok=False, detail=gap.detail, fix=gap.fix, exit_code=1)
            for gap in found.gaps
        ]
        if found.server_time is not None:
            skew = abs((found.server_time - self.client.pacer.clock.now()).total_seconds())
            near = skew < 120
            fix = "" if near else "set this machine's clock by NTP"
            detail = f"{skew:.0f} s apart"
            checks.append(Check(name=f"{name}: clock", ok=near, detail=detail, fix=fix, exit_code=0 if near else 1))
        left = self.client.limits.get("x-ratelimit-remaining")
        if left is not None:
            checks.append(Check(name=f"{name}: rate limit", ok=True, detail=f"{left} requests left"))
        return checks


class _Events:
    """All events of a repository, asked for when they are first wanted, and once."""

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[Any] | None = None

    async def get(self) -> dict[int, list[Mapping[str, Any]]] | None:
        if self._task is None:
            self._task = asyncio.create_task(self._coroutine)
        found: dict[int, list[Mapping[str, Any]]] | None = await asyncio.shield(self._task)
        return found

    async def __aenter__(self) -> "_Events":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is None:
            self._coroutine.close()
        else:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _encoded(checkpoint: Checkpoint) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(checkpoint))


def _id(row: Any) -> int:
    found = row.get("id") if isinstance(row, Mapping) else None
    return found if isinstance(found, int) else -1


def _kept(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: row[name] for name in _KEPT if name in row}


def _container(row: Mapping[str, Any]) -> Container:
    return Container(id=str(row.get("id")), key=str(row.get("full_name")), title=clean(row.get("description")))


def _gap(source: str, container: str, error: Refused) -> Gap:
    if error.sso:
        fix = f"authorize the token for single sign-on: {error.sso.partition('url=')[2] or error.sso}"
    elif error.needs:
        fix = f"give the token the permission {error.needs}"
    else:
        fix = "check the name, and give the token read access to the repository's issues and metadata"
    reason = "forbidden" if error.status in (403, 451) else "not_found" if error.status in (404, 410) else "unreadable"
    detail = f"the host answered {error.status}: {error.said}"
    return Gap(source=source, container=container, reason=reason, detail=detail, fix=fix)


def _partial(source: str, container: str, said: str) -> Gap:
    return Gap(
        source=source,
        container=container,
        reason="incomplete",
        detail="the host leaves out what belongs to organizations with single sign-on",
        fix=f"authorize the token for single sign-on ({said[:200]})",
    )
