"""The lanes of one source over the budgets of all its credentials."""

from collections.abc import Collection, Iterable, Sequence
from contextvars import ContextVar
from datetime import datetime

from connectors.github.credentials import Credential, TokenRefused
from connectors.pacing import Clock, Pacer, Priority

#: The credential with which this task got its lane: a request runs in the task that holds the lane.
_HELD: ContextVar[Credential] = ContextVar("held")
_PRIORITY: ContextVar[Priority] = ContextVar("priority")


class Budgets(Pacer):
    """A pacer whose lanes go to the credential that may ask soonest.

    A scope is an endpoint's name or a repository's path; where it is known that a credential cannot see a
    repository, another one is asked first.
    """

    def __init__(self, credentials: Sequence[Credential], *, concurrency: int, clock: Clock | None) -> None:
        super().__init__(concurrency=concurrency, clock=clock)
        self.credentials = tuple(credentials)
        self._blind: dict[str, set[Credential]] = {}

    @property
    def held(self) -> Credential:
        """The credential of the lane that this task holds."""
        return _HELD.get(self.credentials[0])

    @property
    def usable(self) -> list[Credential]:
        """Credentials that are not set aside; there is always one."""
        return [one for one in self.credentials if one.usable] or list(self.credentials)

    async def _start(self, scope: str, priority: Priority) -> None:
        _PRIORITY.set(priority)
        _HELD.set(await self.next(scope))

    async def next(self, scope: str = "*", without: Collection[Credential] = ()) -> Credential:
        """One of the other credentials, once it may ask. Raises RateLimited where each must wait too long."""
        priority = _PRIORITY.get(Priority.POLL)
        while True:
            left = [one for one in self.usable if one not in without]
            blind = self._blind.get(scope, ())
            one = min(left, key=lambda one: (one in blind, one.pacer.due(scope, priority), one.pacer.requests))
            wait = one.pacer.due(scope, priority)
            if wait <= 0:
                one.pacer.begin()
                return one
            one.pacer.sit_out(scope, priority)
            await self.clock.sleep(wait)

    def set_aside(self, credential: Credential, error: TokenRefused) -> None:
        """Ask with the others from now on. Raises the error where there is no other."""
        credential.refused, credential.refused_at = error, self.clock.monotonic()
        if not any(one.usable for one in self.credentials):
            for one in self.credentials:  # with the next pass all are tried again
                one.refused = None
            raise error

    def saw(self, scope: str, credential: Credential, blind: Iterable[Credential]) -> None:
        """What one credential got from a repository and others did not."""
        if scope in self._blind or any(True for _ in blind):
            self._blind[scope] = (self._blind.get(scope, set()) | set(blind)) - {credential}

    @property
    def parked_until(self) -> datetime | None:
        """When the first of the credentials may ask again; None where one may now."""
        waits = [one.pacer.parked_until for one in self.usable]
        ends = [until for until in waits if until is not None]
        return min(ends) if len(ends) == len(waits) else None

    def park(self, seconds: float, reason: str, scope: str = "*") -> None:
        """Send nothing with the held credential in a scope for so long."""
        self.held.pacer.park(seconds, reason, scope)

    def wait_for(self, scope: str = "*", priority: Priority = Priority.POLL) -> tuple[float, str]:
        """Seconds until one of the credentials may ask in this scope, and why not before."""
        return min(one.pacer.wait_for(scope, priority) for one in self.usable)
