"""When time was spent: by each worklog's own day, where they tell all of it. No author and no comment is looked at.

API facts: Jira platform REST API, "Issue worklogs": an issue's field ``worklog`` holds the first 20 of them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.ahead import together
from connectors.jira.client import JiraClient, Refused
from connectors.jira.rows import Row, id_of, rows_of
from connectors.jira.values import moment, seconds
from connectors.pacing import Priority
from schemas.work import Transition

FIELD = "worklog"
_PAGE = 1000
#: Of more worklogs than this an issue's changelog has to do.
_MOST = 5_000


class _Broken(Exception):
    """A list of worklogs that ends before its end, or never."""


async def completed(client: JiraClient, api: str, rows: Sequence[Any], priority: Priority) -> list[Any]:
    """The rows, those with more worklogs than stand in them with all of theirs."""

    async def whole(row: Any) -> Any:
        held, total = _held(row)
        if total <= len(held) or total > _MOST:
            return row
        try:
            found = await _all(client, f"{api}/issue/{id_of(row)}/worklog", priority)
        except (Refused, _Broken):
            return row  # gone since it was listed, not ours to see, or no list: its changelog has to do
        return {**row, "fields": {**row["fields"], FIELD: {"total": len(found), "worklogs": found}}}

    return list(await together([whole(row) for row in rows]))


async def _all(client: JiraClient, path: str, priority: Priority) -> list[Row]:
    found: dict[str, Row] = {}
    while True:
        asked = {"startAt": len(found), "maxResults": _PAGE}
        page = await client.get(path, asked, scope="history", priority=priority)
        rows, known, total = rows_of(page.get("worklogs")), len(found), page.get("total")
        found |= {id_of(row): row for row in rows}
        if isinstance(total, int) and len(found) >= total:
            return list(found.values())
        if len(found) == known or len(found) > _MOST:
            raise _Broken


def _held(row: Any) -> tuple[list[Row], int]:
    fields = row.get("fields") if isinstance(row, Mapping) else None
    worklog = fields.get(FIELD) if isinstance(fields, Mapping) else None
    if not isinstance(worklog, Mapping):
        return [], 0
    held, total = rows_of(worklog.get("worklogs")), worklog.get("total")
    return held, total if isinstance(total, int) and not isinstance(total, bool) else len(held)


def spent(row: Any, time_spent_s: int | None, updated: datetime) -> list[Transition] | None:
    """How the time spent on an issue grew, a step a worklog, on the day for which it was logged.

    None where its worklogs do not come to exactly what the issue says: some are hidden, or one of them is odd.
    """
    held, total = _held(row)
    if not time_spent_s or total != len(held) or total > _MOST:
        return None
    steps: dict[str, tuple[datetime, str, int]] = {}
    for one in held:
        id_, started, length = id_of(one), moment(one.get("started")), seconds(one.get("timeSpentSeconds"))
        if not id_.isdigit() or started is None or not length:
            return None
        steps[id_] = (min(started, updated), id_, length)
    if sum(length for _, _, length in steps.values()) != time_spent_s:
        return None
    found, sum_ = list[Transition](), 0
    for at, id_, length in sorted(steps.values()):
        step = Transition(id=f"worklog:{id_}", field="time_spent_s", at=at, before=sum_ or None, after=sum_ + length)
        found.append(step)
        sum_ += length
    return found
