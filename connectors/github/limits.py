"""The waits that a GitHub host asks for. Source: GitHub REST API, "Rate limits" and "Best practices"."""

from datetime import timedelta

from connectors.answers import Answer
from connectors.base import RateLimited
from connectors.github.credentials import Credential
from connectors.pacing import DEFAULT_WAIT_S, retry_after


def limited(answer: Answer, sent: float, credential: Credential, source: str) -> RateLimited | None:
    """The wait that a 403 or 429 asks of a credential, which is parked; None where it is no limit."""
    now = credential.pacer.clock.now()
    said = answer.message().lower()
    told = answer.headers.get("retry-after")
    if answer.headers.get("x-ratelimit-remaining") == "0" and told is None:
        # both are the host's own clock; ours may be off by minutes
        reset = answer.headers.get("x-ratelimit-reset", "")
        left = float(reset) + 1 - (answer.date or now).timestamp() if _is_number(reset) else DEFAULT_WAIT_S
        reason, seconds, least = "primary limit", max(left, 1.0), 1.0
    elif "secondary rate limit" in said or "abuse" in said or told is not None:
        reason, seconds, least = "secondary limit", retry_after(told, now), 1.0 if told else DEFAULT_WAIT_S
    elif answer.status == 429 or "rate limit" in said:
        reason, seconds, least = "rate limit", DEFAULT_WAIT_S, DEFAULT_WAIT_S
    else:
        return None
    seconds = credential.strikes.wait(seconds, sent, least=least)
    credential.pacer.park(seconds, reason)
    return RateLimited(now + timedelta(seconds=seconds), reason, source=source)


def keep_for_live_work(answer: Answer, credential: Credential) -> None:
    """Take in how much of an hour's requests is left; GraphQL has points of its own."""
    told = [answer.headers.get(f"x-ratelimit-{name}", "") for name in ("limit", "remaining", "reset")]
    if answer.headers.get("x-ratelimit-resource", "core") != "core" or not all(map(_is_number, told)):
        return
    limit, left, reset = map(int, told)
    credential.pacer.keep(limit, left, reset - (answer.date or credential.pacer.clock.now()).timestamp())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 13
