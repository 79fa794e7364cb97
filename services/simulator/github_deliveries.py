"""What GitHub remembers of the hooks that it sent. Source: GitHub REST API, "Repository webhooks": deliveries."""

from collections.abc import Mapping
from datetime import datetime
from itertools import count
from typing import Any
from urllib.parse import urlencode

Row = dict[str, Any]


class Deliveries:
    """By the hook's id, newest first, with what each was asked to carry."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Row]] = {}
        self._requests: dict[int, Row] = {}
        self._ids = count(12_000_000_001)

    def sent(
        self, hook: int, guid: str, event: str, payload: Mapping[str, Any], at: datetime, *, status: int = 503
    ) -> Row:
        """Remember one that was answered with a status; 0 where nothing answered in time."""
        row: Row = {
            "id": next(self._ids),
            "guid": guid,
            "delivered_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "redelivery": any(one["guid"] == guid for one in self._rows.get(hook, ())),
            "duration": 0.27,
            "status": "OK" if 200 <= status < 300 else f"Invalid HTTP Response: {status}" if status else "timed out",
            "status_code": status,
            "event": event,
            "action": payload.get("action"),
            "installation_id": None,
            "repository_id": (payload.get("repository") or {}).get("id"),
            "throttled_at": None,
        }
        self._rows.setdefault(hook, []).insert(0, row)
        headers = {"X-GitHub-Delivery": guid, "X-GitHub-Event": event, "Content-Type": "application/json"}
        self._requests[row["id"]] = {"headers": headers, "payload": dict(payload)}
        return row

    def page(self, hook: int, asked: Mapping[str, str], here: str) -> tuple[list[Row], dict[str, str]]:
        """A page from the cursor on, and its Link header."""
        rows, size = self._rows.get(hook, []), min(100, int(asked.get("per_page", "30")))
        after = asked.get("cursor", "").removeprefix("v1_")
        rows = [row for row in rows if not after or row["id"] < int(after)]
        if len(rows) <= size:
            return rows, {}
        further = urlencode({**asked, "cursor": f"v1_{rows[size - 1]['id']}"})
        return rows[:size], {"link": f'<{here}?{further}>; rel="next"'}

    def whole(self, hook: int, id_: int) -> Row | None:
        """One with its request and the answer to it."""
        row = next((one for one in self._rows.get(hook, ()) if one["id"] == id_), None)
        return None if row is None else row | {"request": self._requests[id_], "response": {"headers": {}}}
