"""How much of an hour's requests a Jira Cloud site says is left. Source: Jira Cloud, "Rate limiting"."""

from datetime import UTC, datetime

from connectors.answers import Answer
from connectors.pacing import Pacer

#: The quota's headers; in the time before it is enforced they are told under the other name.
_PREFIXES = ("x-ratelimit", "x-beta-ratelimit")


def keep_for_live_work(answer: Answer, pacer: Pacer) -> None:
    """Take in a quota that tells its limit, what is left of it, and when it is filled up again (ISO 8601, not epoch).

    Data Center's buckets are filled up all the time and tell no such moment: there is nothing to keep.
    """
    for prefix in _PREFIXES:
        limit, left, reset = (answer.headers.get(f"{prefix}-{name}", "") for name in ("limit", "remaining", "reset"))
        until = _moment(reset)
        if until is not None and _is_number(limit) and _is_number(left):
            now = answer.date or pacer.clock.now()
            pacer.keep(int(limit), int(left), (until - now).total_seconds())
            return


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 13
