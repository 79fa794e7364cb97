"""Hooks that were sent and that nobody took: GitHub sends none of them again, and keeps a list of all for some days.

Source: GitHub REST API, "Repository webhooks" (deliveries), and "Handling failed webhook deliveries".
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from connectors.base import Container
from connectors.github import webhook
from connectors.github.listing import Refused
from connectors.github.translate import moment
from connectors.hooks import Delivery, Hints, MalformedHook
from connectors.text import clean

if TYPE_CHECKING:
    from connectors.github.sync import GitHubConnector

#: So far back in a hook's list, and so many of its deliveries one by one; of more of them only a poll is left.
_MOST_PAGES, _MOST_ASKED = 30, 200

Row = Mapping[str, Any]


async def undelivered(reader: "GitHubConnector", since: datetime) -> list[Delivery]:
    """See `connectors.base.Connector.undelivered`. Where hooks may not be read, there is nothing to tell."""
    found: list[Delivery] = []
    for container in (await reader.discover()).containers:
        try:
            found += await _of_repository(reader, container, since)
        except Refused:
            continue  # `courseline hooks check` says what is missing
    return found


async def _of_repository(reader: "GitHubConnector", container: Container, since: datetime) -> list[Delivery]:
    home = f"repositories/{container.id}/hooks"
    found: list[Delivery] = []
    async for page in reader.client.pages(home, {"per_page": 100}, remember=True):
        for hook in page.rows:
            if isinstance(hook, Mapping) and isinstance(hook.get("id"), int) and _is_ours(hook, reader.source):
                found += await _of_hook(reader, f"{home}/{hook['id']}/deliveries", since)
    return found


def _is_ours(hook: Row, source: str) -> bool:
    config = hook.get("config")
    url = config.get("url") if isinstance(config, Mapping) else None
    return isinstance(url, str) and url.rstrip("/").endswith(f"/hooks/{source}")


async def _of_hook(reader: "GitHubConnector", path: str, since: datetime) -> list[Delivery]:
    """The failed ones, oldest first; one that was sent again with success has arrived."""
    failed: dict[str, Row] = {}
    arrived: set[str] = set()
    pages = 0
    async for page in reader.client.pages(path, {"per_page": 100}, remember=True):
        pages += 1
        times = []
        for row in page.rows:
            at, guid = (moment(row.get("delivered_at")), row.get("guid")) if isinstance(row, Mapping) else (None, None)
            if at is None or not isinstance(guid, str) or not guid:
                continue
            times.append(at)
            if _succeeded(row):
                arrived.add(guid)
            elif at >= since:
                failed.setdefault(guid, row)
        if pages >= _MOST_PAGES or (times and min(times) < since):
            break
    missing = [row for guid, row in reversed(failed.items()) if guid not in arrived]
    told = [await _told(reader, path, row) for row in missing[:_MOST_ASKED]]
    return [*told, *map(_hinted, missing[_MOST_ASKED:])]


def _succeeded(row: Row) -> bool:
    code = row.get("status_code")
    return isinstance(code, int) and 200 <= code < 300


async def _told(reader: "GitHubConnector", path: str, row: Row) -> Delivery:
    """What a failed delivery would have said."""
    id_ = row.get("id")
    if not isinstance(id_, int):
        return _hinted(row)
    try:
        request = (await reader.client.get(f"{path}/{id_}")).get("request")
    except Refused:
        return _hinted(row)
    payload = request.get("payload") if isinstance(request, Mapping) else None
    headers = {"x-github-event": clean(row.get("event")), "x-github-delivery": clean(row.get("guid"))}
    try:
        return webhook.read(reader.source, headers, msgspec.json.encode(payload))
    except MalformedHook:
        return _hinted(row)


def _hinted(row: Row) -> Delivery:
    """That something changed, where the delivery itself does not tell what."""
    return Delivery(id=clean(row.get("guid"), 128), event=clean(row.get("event"), 128), hints=Hints(poll=True))
