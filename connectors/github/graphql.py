"""GraphQL of one GitHub host, beside its REST API: the same origin and credential, a budget and limits of its own.

API facts: GitHub GraphQL API, "Rate limits and query limits" and "Forming calls"; GHES has it at ``/api/graphql``.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.answers import Answer, parsed
from connectors.base import ConnectorError, RateLimited, Retriable, naming
from connectors.github.client import GitHubClient
from connectors.github.translate import moment
from connectors.pacing import DEFAULT_WAIT_S, Strikes, persistently

#: The pacer's name for the points of GraphQL: they may be used up while requests are left, and the reverse.
SCOPE = "graphql"
HOUR_S = 3600.0
#: A longer wait is not sat out: the issues themselves are read with another budget, and need not wait for boards.
LONGEST_PAUSE_S = 90.0
#: Errors that come and go, or go with a smaller page; those without a type are the host's own mistakes.
_PASSING = frozenset(
    {"", "RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED", "TIMEOUT", "INTERNAL", "SERVICE_UNAVAILABLE"}
)


class Problem(msgspec.Struct, frozen=True):
    """One entry of an answer's ``errors``. ``path`` leads to what is null in its place."""

    type: str
    message: str
    path: tuple[str | int, ...] = ()


class Denied(ConnectorError):
    """The host understood the query and answers none of it, for these problems."""

    def __init__(self, problems: Sequence[Problem], source: str) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(one.message for one in problems) or "no reason is given", source=source)


class Exhausted(ConnectorError):
    """The host wants us to wait longer than a pass over everything else should."""


class Told(msgspec.Struct, frozen=True):
    """The data of an answer, and what is missing from it."""

    data: dict[str, Any]
    problems: tuple[Problem, ...] = ()


class GraphQL:
    """Queries of one client. ``hourly`` points may be spent in any hour; the host's own limit stands besides."""

    def __init__(self, client: GitHubClient, *, hourly: int = 1_000) -> None:
        self._client = client
        self._hourly = hourly
        self._spent: deque[tuple[float, int]] = deque()
        self._left: tuple[int, datetime] | None = None  #: points that the host said are left, and until when
        self._strikes = Strikes(client.pacer.clock)
        self.url = endpoint(client.root)

    def affordable(self, points: int) -> bool:
        """Whether so many points may be spent now; what nothing was spent before may always begin."""
        now = self._client.pacer.clock.monotonic()
        while self._spent and now - self._spent[0][0] >= HOUR_S:
            self._spent.popleft()
        return not self._spent or sum(cost for _, cost in self._spent) + points <= self._hourly

    def shortage(self, points: int) -> str | None:
        """What the host lacks for so many points, as far as it said; all who use the credential spend them."""
        now = self._client.server_time or self._client.pacer.clock.now()
        if self._left is None or self._left[0] >= points or self._left[1] <= now:
            return None
        left, until = self._left
        return f"{points} points are needed and {left} are left until {until:%H:%M:%S} UTC"

    async def query(
        self,
        text: str,
        variables: Callable[[int], Mapping[str, Any]],
        *,
        sound: Callable[[Told], bool] = lambda _: True,
    ) -> Told:
        """What a query answers. ``variables`` are asked for with the number of failures of this query so far.

        Raises Denied where nothing is answered for a reason that stays, Exhausted, and Unreachable where an answer is
        none, or not ``sound``, as often as we may ask.
        """
        failures = 0

        async def attempt() -> Told:
            nonlocal failures
            with naming(self._client.config.name):
                try:
                    told = await self._once(text, variables(failures))
                    if not sound(told):
                        raise Retriable("the answer to a query is not of the shape that was asked for")
                except RateLimited:
                    self._be_patient()
                    raise
                except Retriable:
                    failures += 1
                    raise
                return told

        self._be_patient()
        return await persistently(self._client.pacer, attempt, scope=SCOPE)

    def _be_patient(self) -> None:
        wait, reason = self._client.pacer.wait_for(SCOPE)
        if wait > LONGEST_PAUSE_S:
            raise Exhausted(f"the host asks us to wait {wait:.0f} s ({reason})", source=self._client.config.name)

    async def _once(self, text: str, variables: Mapping[str, Any]) -> Told:
        sent = self._client.pacer.clock.monotonic()
        answer = await self._client._once(self.url, None, "POST", {"query": text, "variables": dict(variables)})
        body: dict[str, Any] = parsed(answer, dict)
        data, problems = body.get("data"), _problems(body.get("errors"), self._client.hidden)
        self._note_cost(sent, data)
        self._obey(answer, sent, problems)
        heavy = next((one for one in problems if one.type in _PASSING), None)
        if heavy is not None:
            raise Retriable(f"a query was not answered whole: {heavy.message}")
        given = {name: value for name, value in data.items() if name != "rateLimit"} if isinstance(data, dict) else {}
        if problems and all(value is None for value in given.values()):
            raise Denied(problems, self._client.config.name)
        return Told(given, problems)

    def _note_cost(self, sent: float, data: Any) -> None:
        told = data.get("rateLimit") if isinstance(data, dict) else None
        cost = told.get("cost") if isinstance(told, dict) else None
        left = told.get("remaining") if isinstance(told, dict) else None
        reset = moment(told.get("resetAt")) if isinstance(told, dict) else None
        if isinstance(left, int) and reset is not None:
            self._left = left, reset
        self._spent.append((sent, cost if isinstance(cost, int) and 0 < cost < 10_000 else 1))

    def _obey(self, answer: Answer, sent: float, problems: Sequence[Problem]) -> None:
        """Raises RateLimited for the limits that are answered with 200, and parks what they are about."""
        pacer = self._client.pacer
        now = pacer.clock.now()
        if any(one.type in ("RATE_LIMITED", "RATE_LIMIT") for one in problems):
            reset = answer.headers.get("x-ratelimit-reset", "")
            known = reset.isascii() and reset.isdigit() and len(reset) < 13
            left = float(reset) + 1 - (answer.date or now).timestamp() if known else DEFAULT_WAIT_S
            seconds, scope, reason = self._strikes.wait(max(left, 1.0), sent), SCOPE, "points of GraphQL"
        elif any("secondary rate limit" in one.message.lower() for one in problems):
            # it counts requests of both kinds
            seconds = self._strikes.wait(DEFAULT_WAIT_S, sent, least=DEFAULT_WAIT_S)
            scope, reason = "*", "secondary limit"
        else:
            self._strikes.over(sent)
            return
        pacer.park(seconds, reason, scope)
        raise RateLimited(now + timedelta(seconds=seconds), reason, source=self._client.config.name)


def endpoint(root: str) -> str:
    """Where a host that has its REST API at ``root`` has GraphQL."""
    return f"{root.removesuffix('/v3')}/graphql" if root.endswith("/api/v3") else f"{root}/graphql"


def _problems(errors: Any, hidden: Callable[[str], str]) -> tuple[Problem, ...]:
    found = []
    for one in errors if isinstance(errors, list) else ():
        if not isinstance(one, dict):
            continue
        path = one.get("path")
        more = one.get("extensions")
        kind = one.get("type") or (more.get("code") if isinstance(more, dict) else None)
        found.append(
            Problem(
                kind if isinstance(kind, str) else "",
                hidden(" ".join(str(one.get("message") or "").split()))[:300],
                tuple(step for step in path if isinstance(step, str | int)) if isinstance(path, list) else (),
            )
        )
    return tuple(found)
