"""A Jira site, read completely: windows of creation in parallel for the past, keyset polls for the present."""

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from connectors.ahead import both, together
from connectors.base import (
    Board,
    Census,
    Check,
    Container,
    Discovery,
    Fatal,
    Looked,
    Page,
    Ref,
    Skippable,
    Unreachable,
)
from connectors.hooks import Delivery
from connectors.jira import census, checks, progress, registration
from connectors.jira.account import Account, seeing
from connectors.jira.backfill import backfill, count
from connectors.jira.client import JiraClient, JiraConfig, Refused
from connectors.jira.cloud import Cloud
from connectors.jira.data_center import DataCenter
from connectors.jira.dimensions import names_of
from connectors.jira.flavour import Flavour
from connectors.jira.progress import Checkpoint
from connectors.jira.rows import id_of, rows_of
from connectors.jira.sprints import Sprints
from connectors.jira.translate import Site, milestone, parent_key, site, work_item
from connectors.jira.worklogs import completed
from connectors.pacing import Clock, Priority
from schemas.work import Gap, Milestone, Quarantined, WorkItem


class JiraConnector:
    """Reads one site. See `connectors.base.Connector` for what every method promises."""

    def __init__(self, config: JiraConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.source = config.name
        self.client = JiraClient(config, clock)
        self.account = Account(self.client)
        self.flavour: Flavour = Cloud(self.client, self.account)  #: until the site says which it is
        self._site: Site | None = None
        self._sprints = Sprints(self.client)
        self.states: dict[str, str] = {}  #: of the projects by id, as last seen

    @property
    def requests(self) -> int:
        return self.client.pacer.requests

    @property
    def waits_until(self) -> datetime | None:
        return self.client.pacer.parked_until

    async def close(self) -> None:
        await self.client.close()

    # -- what there is -----------------------------------------------------------------------------------------

    async def discover(self) -> Discovery:
        """The projects the configuration names, or all that can be seen; those that cannot be are gaps."""
        info = await self._flavour_of_site()
        projects, _ = await both(self.projects(), self._get_to_know())
        found = {container.key: container for container in projects}
        self.states = {container.id: container.state for container in found.values()}
        wanted = self.config.projects or tuple(found)
        gaps = [
            Gap(
                source=self.source,
                container=key,
                reason="not_found",
                detail="the project does not exist or the account may not browse it",
                fix=f"check the key, and give the account the Browse Projects permission in {key}",
            )
            for key in wanted
            if key not in found
        ]
        return Discovery(
            containers=tuple(found[key] for key in wanted if key in found),
            gaps=tuple(gaps),
            flavour=self.flavour.name,
            version=str(info.get("version", "")),
            server_time=self.client.server_time,
        )

    async def _flavour_of_site(self) -> Mapping[str, Any]:
        info: Mapping[str, Any] = await seeing(self.client.get("api/2/serverInfo"), self.source)
        kind = info.get("deploymentType")
        if kind not in ("Cloud", "Server", "Data Center"):
            raise Unreachable("no Jira answers at this address: serverInfo names no deploymentType", source=self.source)
        wanted = Cloud if kind == "Cloud" else DataCenter
        if not isinstance(self.flavour, wanted):
            self.flavour = wanted(self.client, self.account)
        return info

    async def prepare(self) -> None:
        """Know the site and who we are; once, and after that only that we still are."""
        if self._site is None:
            await self._flavour_of_site()
            await self._get_to_know()
        else:
            await self.account.same()

    async def _get_to_know(self) -> None:
        # Only what is known whole is known: a pass that goes on must not find half of it.
        _, self._site = await both(self.account.same(first=True), self._ask_of_site())

    async def _ask_of_site(self) -> Site:
        async def list_of(what: str) -> list[Any]:
            found: list[Any] = await seeing(self.client.get(f"api/2/{what}", shape=list), self.source)
            return found

        fields, statuses = await together([list_of("field"), list_of("status")])
        found, missing = site(
            self.source,
            self.config.url,
            fields=rows_of(fields),
            statuses=rows_of(statuses),
            named=self.config.fields,
            team=self.config.team_field,
        )
        if missing:
            raise Fatal(
                f"the site has no field {', '.join(repr(name) for name in missing)}; correct `fields` or `team_field`",
                source=self.source,
            )
        return found

    async def projects(self) -> list[Container]:
        """All projects that can be seen."""
        return await seeing(self.flavour.projects(), self.source)

    # -- reading -----------------------------------------------------------------------------------------------

    async def boards(self, known: Mapping[str, bytes]) -> Sequence[Board]:
        """None: what a board shows of an issue, Jira keeps in the issue's own fields."""
        return ()

    async def read(self, container: Container, checkpoint: bytes | None) -> AsyncIterator[Page]:
        """A backfill, its continuation, or a poll of one project, page by page."""
        state = progress.decoded(checkpoint)
        try:
            if self._site is None:
                await self.prepare()
            asked: list[Coroutine[Any, Any, Any]]
            asked = [self.account.now(), self._milestones(container), self._total(container, state)]
            started, milestones, total = await together(asked)
            yield Page(container=container.key, milestones=tuple(milestones), checkpoint=progress.encoded(state))
            reading = (
                backfill(self, container, state, started, total)
                if state.cursor is None
                else self._poll(container, state)
            )
            async with aclosing(reading) as pages:
                async for page in pages:
                    yield page
            await self.account.same()
        except Refused as error:
            raise Skippable(census.refusal(self.source, container, error)) from error
        cursor = state.began if state.cursor is None and state.began else started
        yield Page(
            container=container.key,
            checkpoint=progress.encoded(Checkpoint(cursor=cursor)),
            complete=True,
            total=state.total,
        )

    async def _total(self, container: Container, state: Checkpoint) -> int | None:
        """How many issues there are, where a backfill begins."""
        return await count(self, container) if state.cursor is None and not state.windows else None

    async def _milestones(self, container: Container) -> list[Milestone]:
        rows, sprints = await both(self.flavour.versions(container), self._sprints_of(container))
        url = self.config.url.rstrip("/")
        versions = [one for row in rows if (one := milestone(row, self.source, container.key, url)) is not None]
        return [*versions, *sprints]

    @property
    def has_sprints(self) -> bool:
        """Whether the site has a field of sprints."""
        return self._site is not None and bool(self._site.sprints)

    async def _sprints_of(self, container: Container) -> list[Milestone]:
        return await self._sprints.of(container) if self.has_sprints else []

    async def _poll(self, container: Container, state: Checkpoint) -> AsyncGenerator[Page, None]:
        assert state.cursor is not None
        async with aclosing(self.flavour.changed(container, state.cursor, self.wanted())) as found:
            async for rows in found:
                yield self.page(container, state, await self.translated(container, rows, Priority.HISTORY))

    def page(self, container: Container, state: Checkpoint, entries: Sequence[WorkItem | Quarantined]) -> Page:
        """A page of what was read, with how far that is."""
        return Page(
            container=container.key,
            items=tuple(entry for entry in entries if isinstance(entry, WorkItem)),
            quarantined=tuple(entry for entry in entries if isinstance(entry, Quarantined)),
            checkpoint=progress.encoded(state),
            total=state.total,
        )

    def wanted(self) -> list[str]:
        """The fields of an issue that are asked for."""
        assert self._site is not None
        return self._site.wanted()

    async def translated(
        self, container: Container, rows: Sequence[Any], priority: Priority
    ) -> list[WorkItem | Quarantined]:
        """Rows of issues in our shape, each with its whole history, less those that are gone meanwhile."""
        assert self._site is not None
        rows = await completed(self.client, self.flavour.api, rows, priority)
        histories = await self.flavour.histories([id_of(row) for row in rows if id_of(row).isdigit()], priority)
        ids = await self.flavour.ids_of({key for row in rows if (key := parent_key(row, self._site)) is not None})
        known = [(row, histories.get(id_of(row), [])) for row in rows]
        return [work_item(row, log, self._site, container.key, ids) for row, log in known if log is not None]

    async def names(self, container: Container) -> Mapping[str, str]:
        """Of statuses with their categories, issue types and resolutions, and of the project's components."""
        await self.prepare()
        try:
            self._site = await self._ask_of_site()  # what history is read by, too
            return await names_of(self.client, container.id)
        except Refused as error:
            raise Skippable(census.refusal(self.source, container, error)) from error

    async def census(self, container: Container) -> Census:
        """The ids of all issues of a project, with the time of the change where it was lately."""
        return await census.count(self, container)

    async def look(self, refs: Sequence[Ref], *, live: bool = True) -> Looked:
        """Single issues by their ids, in bulk; why those that are not found are gone."""
        return await census.look(self, refs, Priority.HINT if live else Priority.CENSUS)

    def forget_lists(self) -> None:
        """The sprints of its boards."""
        self._sprints.forget()

    async def undelivered(self, since: datetime) -> Sequence[Delivery]:
        """None: Jira sends a failed hook again by itself, and keeps no list of those it gave up."""
        return ()

    async def hooks(self, url: str, secret: str, *, install: bool) -> list[Check]:
        """One hook of the whole site, for the projects that are read."""
        return await registration.registered(self, url, secret, install=install)

    # -- check -------------------------------------------------------------------------------------------------

    async def check(self) -> list[Check]:
        """Address and credential, what of each project may be read, clock, rate limit."""
        return await checks.checked(self)
