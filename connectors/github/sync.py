"""A GitHub host, read completely: keyset paging over ``updated_at``, so that drift while paging passes nothing over."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from connectors.ahead import ahead, together
from connectors.answers import Answer, parsed
from connectors.base import (
    Board,
    Census,
    Check,
    Container,
    Discovery,
    Looked,
    Page,
    Ref,
    Retriable,
    Skippable,
    Unreachable,
)
from connectors.github import census, checks, deliveries, registration
from connectors.github.boards import Boards
from connectors.github.client import GitHubClient
from connectors.github.conditional import Stored, bucket
from connectors.github.config import GitHubConfig
from connectors.github.credentials import Credential, TokenRefused
from connectors.github.events import Histories
from connectors.github.links import LinkReader
from connectors.github.listing import Refused
from connectors.github.lists import PAGE, Batch, Withheld, issues
from connectors.github.numbers import IssueIds
from connectors.github.translate import milestone, moment, parent_name, work_item
from connectors.hooks import Delivery
from connectors.pacing import Clock, Priority
from connectors.text import clean
from schemas.work import Gap, Milestone, Quarantined, WorkItem, item_uid

#: Index lag and clock differences that a poll reaches back over at least; and while the events of an issue may lag.
OVERLAP = timedelta(minutes=5)
#: Pages of issues that are read ahead, while their events are read or the one before is stored.
_AHEAD = 12
#: Parents that one issue had; of one that had more, the past is not told.
_MOST_PARENTS = 50
_UNKNOWN_CLOCK = timedelta(hours=26)
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


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
        self.ids = IssueIds()
        self.project_boards = Boards(self)
        self._links = LinkReader(self.client)
        self._stored: dict[str, Stored] = {}  #: by the container's id

    @property
    def requests(self) -> int:
        return self.client.requests

    @property
    def waits_until(self) -> datetime | None:
        return self.client.pacer.parked_until

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
                row = await self.client.get(f"repos/{quote(name)}", remember=True)
                one = _container(row)
                if one is not None:
                    found[one.id] = one
                else:
                    gaps.append(_unreadable(self.source, name))
            except Refused as error:
                gaps.append(census.refusal(self.source, name, error))
        for organization in self.config.organizations:
            await self._union(f"orgs/{quote(organization)}/repos", organization, found, gaps)
        if not self.config.repositories and not self.config.organizations:
            path = "user/repos" if self.config.app is None else "installation/repositories"
            await self._union(path, "*", found, gaps)
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
            return await self.client.get("meta", remember=True)
        except Refused as error:
            if error.status in (404, 403):
                raise Unreachable(
                    f"no GitHub answers here ({error.status}); on an Enterprise Server `url` ends in /api/v3",
                    source=self.source,
                ) from error
            raise Unreachable(str(error), source=self.source) from error

    async def _union(self, path: str, named: str, found: dict[str, Container], gaps: list[Gap]) -> None:
        """The repositories that any of the credentials is told of; a gap where each of them is refused."""
        refusals: list[Refused] = []
        asked = self.client.pacer.usable
        for credential in asked:
            try:
                await self._list_repositories(path, credential, named, found, gaps)
            except Refused as error:
                refusals.append(error)
            except TokenRefused:
                continue  # set aside; raised where it was the last one
        if refusals and len(refusals) == len(asked):
            gaps.append(census.refusal(self.source, named, refusals[0]))

    async def _list_repositories(
        self, path: str, credential: Credential, named: str, found: dict[str, Container], gaps: list[Gap]
    ) -> None:
        how = {"decoded": _installed} if path == "installation/repositories" else {}
        async for page in self.client.pages(path, {"per_page": PAGE}, only=credential, remember=True, **how):
            for row in page.rows:
                one = _container(row)
                if one is not None:
                    found.setdefault(one.id, one)
                else:
                    gaps.append(_unreadable(self.source, named))
            if page.partial:
                gaps.append(census.withheld(self.source, named, page.partial))

    # -- reading -----------------------------------------------------------------------------------------------

    async def boards(self, known: Mapping[str, bytes]) -> Sequence[Board]:
        """The project boards; one that cannot be read is a gap."""
        return await self.project_boards.read(known)

    async def read(self, container: Container, checkpoint: bytes | None) -> AsyncIterator[Page]:
        """A backfill, its continuation, or a poll of one repository, page by page."""
        state = _CHECKPOINT.decode(checkpoint) if checkpoint else Checkpoint()
        first = state.cursor is None
        past = Priority.BACKFILL if first else Priority.HISTORY
        histories = Histories(self.client, container.id, partial(self.ids.note, container.key), past)
        try:
            milestones = await self._milestones(container, remember=checkpoint is not None)
            began = self._now()
            state.began = state.began or began
            yield Page(container=container.key, milestones=tuple(milestones), checkpoint=_encoded(state))
            titles = {one.title: one.uid for one in milestones}
            anchor = state.anchor or (bucket(state.cursor - OVERLAP) if state.cursor else None)
            stored = self._known_of(container, state)
            poll = stored if anchor is not None and state.anchor is None else None
            reading = self._batches(container, anchor, began, poll, Priority.BACKFILL if first else Priority.POLL)
            async with aclosing(ahead(reading, _AHEAD)) as batches:
                async for batch in batches:
                    state.anchor = batch.anchor or state.anchor
                    rows = stored.new(batch.rows)
                    if rows:
                        yield await self._page(container, state, rows, titles, histories)
                        stored.note(row for row in rows if _settled(row, began))
        except Refused as error:
            raise Skippable(census.refusal(self.source, container.key, error)) from error
        except Withheld as error:
            raise Skippable(census.withheld(self.source, container.key, error.said)) from error
        finally:
            await histories.aclose()
        stored.complete(state.began)
        self._stored[container.id] = stored
        yield Page(container=container.key, checkpoint=_encoded(Checkpoint(cursor=state.began)), complete=True)

    def _known_of(self, container: Container, state: Checkpoint) -> Stored:
        """What is proven to be stored; nothing where the checkpoint is not the one that our last pass ended with."""
        found = self._stored.pop(container.id, None)
        fits = found is not None and state.anchor is None and state.cursor is not None and found.cursor == state.cursor
        return found if found is not None and fits else Stored()

    def _now(self) -> datetime:
        """The host's time by its last answer; where it tells none, ours of yesterday, since ours may be wrong."""
        return self.client.server_time or self.client.pacer.clock.now() - _UNKNOWN_CLOCK

    async def _milestones(
        self, container: Container, *, remember: bool = False, priority: Priority = Priority.POLL
    ) -> list[Milestone]:
        path = f"repositories/{container.id}/milestones"
        found: dict[str, Milestone] = {}
        asked = {"state": "all", "per_page": PAGE}
        async for page in self.client.pages(path, asked, remember=remember, priority=priority):
            if "partial-results" in page.partial:
                raise Withheld(page.partial)
            for row in page.rows:
                one = milestone(row, self.source, container.key)
                if one is not None:
                    found[one.uid] = one
        return list(found.values())

    async def _batches(
        self, container: Container, anchor: datetime | None, began: datetime, stored: Stored | None, priority: Priority
    ) -> AsyncGenerator[Batch, None]:
        async with aclosing(issues(self.client, container.id, anchor, began, stored, priority=priority)) as batches:
            async for batch in batches:
                for row in batch.rows:
                    self.note(container.key, row)
                yield batch

    def note(self, repository: str, row: Any) -> None:
        """Remember the number and the id of an issue, for whatever names it by its address."""
        if isinstance(row, dict) and isinstance(row.get("number"), int) and isinstance(row.get("id"), int):
            self.ids.note(repository, row["number"], row["id"])

    def _known(self, name: str) -> int | None:
        """The id of the issue that an address names, if a page told it."""
        repository, _, number = name.rpartition("/")
        return self.ids.get(repository, int(number))

    async def _page(
        self, container: Container, state: Checkpoint, rows: Sequence[Any], titles: Mapping[str, str], told: Histories
    ) -> Page:
        entries = await self._entries(container, rows, titles, told)
        return Page(
            container=container.key,
            items=tuple(entry for entry in entries if isinstance(entry, WorkItem)),
            quarantined=tuple(entry for entry in entries if isinstance(entry, Quarantined)),
            checkpoint=_encoded(state),
        )

    async def _entries(
        self, container: Container, rows: Sequence[Any], titles: Mapping[str, str], told: Histories
    ) -> list[WorkItem | Quarantined]:
        events = await told.of(rows)
        names = {parent_name(row) for row in rows}
        for of_one in events.values():
            past = {event.get("parent_issue") for event in of_one}
            names |= past if len(past) <= _MOST_PARENTS else set()
        parents = await self._uids({name for name in names if name is not None})
        links = await self._links.of(rows)
        return [
            work_item(
                row, events.get(_id(row), []), source=self.source, container=container.key,
                parent=parents.get(parent_name(row) or ""), titles=titles, parents=parents,
                links=links.get(_id(row), ()), fields=self.config.fields,
            )
            for row in rows
        ]  # fmt: skip

    async def _uids(self, names: set[str]) -> dict[str, str]:
        """The uids of issues by their names ``owner/name/number``; those that no page has told yet are asked for."""
        asked = [name for name in sorted(names) if self._known(name) is None]

        async def id_of(name: str) -> int | None:
            repository, _, number = name.rpartition("/")
            try:
                found = (await self.client.get(f"repos/{repository}/issues/{number}")).get("id")
            except Refused:
                return None
            if isinstance(found, int):
                self.ids.note(repository, int(number), found)
            return found if isinstance(found, int) else None

        told = dict(zip(asked, await together(id_of(name) for name in asked), strict=True))
        ids = {name: self._known(name) or told.get(name) for name in names}
        return {name: item_uid(self.source, "issue", id_) for name, id_ in ids.items() if id_ is not None}

    async def names(self, container: Container) -> Mapping[str, str]:
        """Of the repository's labels."""
        found: dict[str, str] = {}
        try:
            async for page in self.client.pages(
                f"repositories/{container.id}/labels", {"per_page": PAGE}, remember=True
            ):
                for row in page.rows:
                    if isinstance(row, dict) and isinstance(row.get("id"), int):
                        found[f"label:{row['id']}"] = clean(row.get("name"))
        except Refused as error:
            raise Skippable(census.refusal(self.source, container.key, error)) from error
        return found

    async def census(self, container: Container) -> Census:
        """All issues and pull requests of a repository, with the time of their last change."""
        return await census.count(self, container)

    async def look(self, refs: Sequence[Ref], *, live: bool = True) -> Looked:
        """Single issues by number; why those that are not found are gone."""
        return await census.look(self, refs, Priority.HINT if live else Priority.CENSUS)

    async def hooks(self, url: str, secret: str, *, install: bool) -> list[Check]:
        """A hook of each repository."""
        return await registration.registered(self, url, secret, install=install)

    def forget_lists(self) -> None:
        """Nothing is kept from one pass to the next but what the host says still holds."""

    async def undelivered(self, since: datetime) -> Sequence[Delivery]:
        """From the lists that the host keeps of each hook's deliveries."""
        return await deliveries.undelivered(self, since)

    # -- check -------------------------------------------------------------------------------------------------

    async def check(self) -> list[Check]:
        """Address and credentials, what of each repository may be read, boards, clock, rate limit."""
        return await checks.checked(self)


def _settled(row: Any, began: datetime) -> bool:
    """Whether the events of an issue cannot lag behind it any more."""
    updated = moment(row.get("updated_at")) if isinstance(row, Mapping) else None
    return updated is not None and updated < began - OVERLAP


def _encoded(checkpoint: Checkpoint) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(checkpoint))


def _id(row: Any) -> int:
    found = row.get("id") if isinstance(row, Mapping) else None
    return found if isinstance(found, int) else -1


def _container(row: Any) -> Container | None:
    """A repository; None for a row that is none."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), int):
        return None
    key = row.get("full_name")
    if not isinstance(key, str) or _REPOSITORY.fullmatch(key) is None:
        return None
    return Container(id=str(row["id"]), key=key, title=clean(row.get("description")))


def _installed(answer: Answer) -> list[Any]:
    """The repositories of an app's installation, which stand inside an object."""
    rows = parsed(answer, dict).get("repositories")
    if not isinstance(rows, list):
        raise Retriable("the answer is no list of an installation's repositories")
    return rows


def _unreadable(source: str, container: str) -> Gap:
    detail = "the host's answer is no repository: its id or its full name is missing"
    return Gap(source=source, container=container, reason="unreadable", detail=detail, fix="check `url`")
