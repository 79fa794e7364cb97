"""What is there and what is not: all issues of a project, single ones by their ids, and why one is not found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from connectors.ahead import together
from connectors.base import Census, Container, Looked, Ref, Retriable, Skippable
from connectors.jira import jql
from connectors.jira.chain import TOLERANCE
from connectors.jira.client import Refused
from connectors.pacing import Priority
from schemas.work import Availability, Gap, Quarantined, WorkItem, item_uid

if TYPE_CHECKING:
    from connectors.jira.sync import JiraConnector

#: Jira gives at most so many issues by id at once (POST /rest/api/3/issue/bulkfetch).
_BULK = 100
Row = Mapping[str, Any]
T = TypeVar("T")


async def count(reader: "JiraConnector", container: Container) -> Census:
    """See `connectors.base.Connector.census`."""
    try:
        await reader.prepare()
        present = await reader.flavour.present(container)
        expected = await reader.flavour.count(jql.window(container.id, None, None), Priority.CENSUS)
        if len(present) < expected * (1 - TOLERANCE) - 3:
            raise Retriable(
                f"a census ended normally after {len(present)} of about {expected} issues",
                source=reader.source, container=container.key,
            )  # fmt: skip
        present |= await reader.flavour.recent(container)
        await reader.account.same()
    except Refused as error:
        if error.status == 400:  # a page token that is forgotten: the next census begins anew
            raise Retriable(f"a census was refused: {error.said}", source=reader.source) from error
        raise Skippable(refusal(reader.source, container, error)) from error
    return Census(
        container=container.id, present={item_uid(reader.source, "issue", id_): at for id_, at in present.items()}
    )


async def look(reader: "JiraConnector", refs: Sequence[Ref], priority: Priority) -> Looked:
    """See `connectors.base.Connector.look`."""
    try:
        await reader.prepare()
        return await _look(reader, {ref.uid.rpartition(":")[2]: ref for ref in refs}, priority)
    except Refused as error:
        raise Retriable(f"single issues could not be read: {error.said}", source=reader.source) from error


async def _look(reader: "JiraConnector", asked: Mapping[str, Ref], priority: Priority) -> Looked:
    rows: dict[str, Row] = {}
    unsure: set[str] = set()
    for ids in _hundreds(list(asked)):
        found, later = await reader.flavour.bulk(ids, reader.wanted(), priority)
        rows |= found
        unsure |= later
    absent = [id_ for id_ in asked if id_ not in rows and id_ not in unsure]
    for id_, answer in zip(absent, await together(_alone(reader, id_, priority) for id_ in absent), strict=True):
        if isinstance(answer, Mapping):
            rows[id_] = answer
        elif answer is None:
            unsure.add(id_)
    absent = [id_ for id_ in absent if id_ not in rows and id_ not in unsure]
    left = await _why_absent(reader, {id_: asked[id_] for id_ in absent}) if absent else {}
    shelved = await _shelved(reader, rows)
    entries = await _entries(reader, [row for id_, row in rows.items() if id_ not in shelved], priority)
    return Looked(
        items=tuple(entry for entry in entries if isinstance(entry, WorkItem)),
        quarantined=tuple(entry for entry in entries if isinstance(entry, Quarantined)),
        left={asked[id_].uid: why for id_, why in {**left, **shelved}.items()},
        unsure=tuple(asked[id_].uid for id_ in asked if id_ in unsure),
    )


async def _alone(reader: "JiraConnector", id_: str, priority: Priority) -> Row | bool | None:
    """One issue; False where Jira knows of none that we may see, None where it says neither."""
    path = f"{reader.flavour.api}/issue/{id_}"
    try:
        asked = {"fields": ",".join(reader.wanted())}
        row: Row = await reader.client.get(path, asked, scope="issue", priority=priority)
    except Refused as error:
        return False if error.status == 404 else None
    return row if str(row.get("id")) == id_ else None


async def _why_absent(reader: "JiraConnector", absent: Mapping[str, Ref]) -> dict[str, Availability]:
    """Why issues that Jira does not know are gone: by what we may see of their projects, asked for afterwards.

    Jira gives the same 404 for what was deleted and for what we may not see; only the project tells them apart.
    An issue that went to a project we cannot see, or behind a security level, looks as deleted as it can.
    """
    await reader.account.same()
    states = {name: one.state for one in await _roster(reader) for name in (one.id, one.key)}
    await reader.account.same()
    reasons: dict[str | None, Availability] = {"live": "deleted", "archived": "archived", "trashed": "trashed"}
    return {id_: reasons.get(states.get(ref.container), "access_lost") for id_, ref in absent.items()}


async def _shelved(reader: "JiraConnector", rows: Mapping[str, Row]) -> dict[str, Availability]:
    """The issues that are found by their ids only, since their projects are archived."""
    projects = {id_: _project(row) for id_, row in rows.items()}
    if all(reader.states.get(project) == "live" for project in projects.values()):
        return {}
    await _roster(reader)
    return {id_: "archived" for id_, project in projects.items() if reader.states.get(project) == "archived"}


async def _roster(reader: "JiraConnector") -> list[Container]:
    found = await reader.projects()
    reader.states = {one.id: one.state for one in found}
    return found


def _project(row: Row) -> str:
    fields = row.get("fields")
    project = fields.get("project") if isinstance(fields, Mapping) else None
    return str(project.get("id", "")) if isinstance(project, Mapping) else ""


async def _entries(reader: "JiraConnector", rows: Sequence[Row], priority: Priority) -> list[WorkItem | Quarantined]:
    entries: list[WorkItem | Quarantined] = []
    for some in _hundreds(rows):
        where = str(some[0].get("key", "")).rpartition("-")[0]
        entries += await reader.translated(Container(id="", key=where), some, priority)
    return entries


def _hundreds(many: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(many), _BULK):
        yield many[start : start + _BULK]


def refusal(source: str, container: Container, error: Refused) -> Gap:
    """What to report of a project that the site refuses."""
    return Gap(
        source=source,
        container=container.key,
        reason="forbidden" if error.status == 403 else "not_found" if error.status == 404 else "unreadable",
        detail=f"the site answered {error.status}: {error.said}",
        fix=f"give the account the Browse Projects permission in {container.key}",
    )
