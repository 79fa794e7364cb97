"""What is there and what is not: all issues of a repository, single ones by number, and why one is gone."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from connectors.ahead import together
from connectors.base import Census, Container, Looked, Ref, Retriable, Skippable
from connectors.github.events import Histories
from connectors.github.listing import Refused
from connectors.github.lists import Withheld, issues, kept
from connectors.github.translate import moment
from connectors.pacing import Priority
from schemas.work import Availability, Gap, Kind, Quarantined, WorkItem, item_uid

if TYPE_CHECKING:
    from connectors.github.sync import GitHubConnector

Row = Mapping[str, Any]


class _Answers(msgspec.Struct):
    """What a repository said of the asked issues: rows that are there, those that moved on, statuses of the rest."""

    rows: dict[str, Row] = {}
    moved: dict[str, Row] = {}
    gone: dict[str, int] = {}
    unsure: list[str] = []


async def count(reader: "GitHubConnector", container: Container) -> Census:
    """See `connectors.base.Connector.census`: the whole list as a backfill reads it, 100 a page, without events."""
    present: dict[str, datetime | None] = {}
    try:
        reading = issues(reader.client, container.id, None, reader._now(), priority=Priority.CENSUS)
        async with aclosing(reading) as batches:
            async for batch in batches:
                for row in batch.rows:
                    if isinstance(row, Mapping) and isinstance(row.get("id"), int):
                        uid = _uid(reader.source, row)
                        present[uid] = moment(row.get("updated_at"))
                        reader.note(container.key, row)
    except Refused as error:
        raise Skippable(refusal(reader.source, container.key, error)) from error
    except Withheld as error:
        raise Skippable(withheld(reader.source, container.key, error.said)) from error
    return Census(container=container.id, present=present)


def _uid(source: str, row: Row) -> str:
    kind: Kind = "pull_request" if isinstance(row.get("pull_request"), Mapping) else "issue"
    return item_uid(source, kind, row["id"])


async def look(reader: "GitHubConnector", refs: Sequence[Ref], priority: Priority) -> Looked:
    """See `connectors.base.Connector.look`."""
    repositories: dict[str, list[Ref]] = {}
    for ref in refs:
        repositories.setdefault(ref.container, []).append(ref)
    try:
        found = [await _in_repository(reader, id_, asked, priority) for id_, asked in repositories.items()]
    except Refused as error:
        raise Retriable(f"single issues could not be read: {error.said}", source=reader.source) from error
    except Withheld as error:
        raise Retriable(f"the host leaves something out: {error.said[:200]}", source=reader.source) from error
    return Looked(
        items=tuple(item for one in found for item in one.items),
        quarantined=tuple(entry for one in found for entry in one.quarantined),
        left={uid: why for one in found for uid, why in one.left.items()},
        unsure=tuple(uid for one in found for uid in one.unsure),
    )


async def _in_repository(reader: "GitHubConnector", id_: str, refs: Sequence[Ref], priority: Priority) -> Looked:
    answers = _Answers()
    await together(_ask(reader, ref, answers, priority) for ref in refs)
    gone = await _why_gone(reader, id_, refs, answers, priority) if answers.gone else {}
    left: dict[str, Availability] = {**dict.fromkeys(answers.moved, "moved"), **gone}
    entries: list[WorkItem | Quarantined] = []
    for name, rows in _by_name(answers.rows.values(), refs).items():
        entries += await _entries(reader, Container(id=id_, key=name), rows, priority)
    return Looked(
        items=tuple(entry for entry in entries if isinstance(entry, WorkItem)),
        quarantined=tuple(entry for entry in entries if isinstance(entry, Quarantined)),
        left=left,
        unsure=tuple(answers.unsure),
    )


async def _ask(reader: "GitHubConnector", ref: Ref, answers: _Answers, priority: Priority) -> None:
    """One issue by its number. A transfer is a redirect to an issue of another id; so is a number used anew."""
    number = ref.key.rpartition("#")[2] or str(reader.ids.number(int(ref.uid.rpartition(":")[2])) or "")
    if not (number.isascii() and number.isdigit()):
        answers.unsure.append(ref.uid)
        return
    try:
        row = await reader.client.get(f"repositories/{ref.container}/issues/{number}", priority=priority)
    except Refused as error:
        if error.status in (404, 410):
            answers.gone[ref.uid] = error.status
        elif error.status in (403, 451) and not error.sso:
            answers.gone[ref.uid] = 403
        else:
            answers.unsure.append(ref.uid)
        return
    same = str(row.get("id")) == ref.uid.rpartition(":")[2]
    if same:
        answers.rows[ref.uid] = row
    elif isinstance(row.get("id"), int):
        answers.moved[ref.uid] = row
    else:
        answers.unsure.append(ref.uid)


async def _why_gone(
    reader: "GitHubConnector", id_: str, refs: Sequence[Ref], answers: _Answers, priority: Priority
) -> dict[str, Availability]:
    """Why issues are not found, by what we may see of their repository, asked for afterwards.

    In a repository that we read, GitHub says 410 of what was deleted ("Get an issue": 410 Gone where the issue was
    deleted and we have read access), and 404 of what left it for a place that we cannot see: a transfer to a
    repository we may not read, or a discussion. Where the repository's issues cannot be listed, neither means much;
    and as it may have been out of sight for a moment, what answered 404 is asked for once more.
    """
    visible = await _issues_visible(reader, id_, priority)
    if visible is None:
        answers.unsure.extend(answers.gone)
        return {}
    if not visible:
        return dict.fromkeys(answers.gone, "access_lost")
    missing = [ref for ref in refs if answers.gone.get(ref.uid) == 404]
    for ref in missing:
        del answers.gone[ref.uid]
    await together(_ask(reader, ref, answers, priority) for ref in missing)
    told: dict[str, Availability] = {}
    for uid, status in answers.gone.items():
        if status == 403:
            answers.unsure.append(uid)  # this one issue is refused, and its repository is not
        else:
            told[uid] = "deleted" if status == 410 else "moved"
    return told


async def _issues_visible(reader: "GitHubConnector", id_: str, priority: Priority) -> bool | None:
    """Whether we may list a repository's issues; None where that cannot be told now."""
    try:
        row = await reader.client.get(f"repositories/{id_}", priority=priority)
        if str(row.get("id")) != id_:
            return None
        if row.get("has_issues") is False:
            return False  # issues are switched off: each of them answers 410, and comes back with the switch
        asked = {"state": "all", "per_page": 1}
        page = await reader.client.page(f"repositories/{id_}/issues", asked, priority=priority)
    except Refused as error:
        return None if error.sso or error.status not in (403, 404, 410, 451) else False
    return None if page.partial else True


def _by_name(rows: Any, refs: Sequence[Ref]) -> dict[str, list[Row]]:
    """Rows by the name that their repository has now."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(repository_name(row) or refs[0].key.rpartition("#")[0], []).append(kept(row))
    return found


def repository_name(row: Row) -> str:
    """The ``owner/name`` in an issue's address of its repository; empty where it has none."""
    url = row.get("repository_url")
    owner, name = ("", "", *url.split("/"))[-2:] if isinstance(url, str) else ("", "")
    return f"{owner}/{name}" if owner and name else ""


async def _entries(
    reader: "GitHubConnector", container: Container, rows: Sequence[Row], priority: Priority
) -> list[WorkItem | Quarantined]:
    titles = {one.title: one.uid for one in await reader._milestones(container, priority=priority)}
    note = partial(reader.ids.note, container.key)
    async with aclosing(Histories(reader.client, container.id, note, priority)) as histories:
        return await reader._entries(container, rows, titles, histories)


def refusal(source: str, container: str, error: Refused) -> Gap:
    """What to report of a repository that the host refuses."""
    if error.sso:
        fix = f"authorize the token for single sign-on: {error.sso.partition('url=')[2] or error.sso}"
    elif error.needs:
        fix = f"give the token the permission {error.needs}"
    else:
        fix = "check the name, and give the token read access to the repository's issues and metadata"
    reason = "forbidden" if error.status in (403, 451) else "not_found" if error.status in (404, 410) else "unreadable"
    detail = f"the host answered {error.status}: {error.said}"
    return Gap(source=source, container=container, reason=reason, detail=detail, fix=fix)


def withheld(source: str, container: str, said: str) -> Gap:
    """What to report of a list from which single sign-on keeps something back."""
    return Gap(
        source=source,
        container=container,
        reason="incomplete",
        detail="the host leaves out what belongs to organizations with single sign-on",
        fix=f"authorize the token for single sign-on ({said[:200]})",
    )
