"""Who we are at a site, which must not change while we read."""

from collections.abc import Awaitable
from datetime import datetime
from typing import TypeVar

from connectors.base import AuthenticationFailed, Unreachable
from connectors.jira.client import JiraClient, Refused

T = TypeVar("T")


class Account:
    """The account of a credential: a lost session is answered with empty lists, not with errors."""

    def __init__(self, client: JiraClient) -> None:
        self._client = client
        self._known: str | None = None

    async def same(self, *, first: bool = False) -> None:
        """Raises AuthenticationFailed where we are no longer who we were, or nobody."""
        source = self._client.config.name
        me = await seeing(self._client.get("api/2/myself"), source)
        account = me.get("accountId") or me.get("key")
        if not account:
            raise AuthenticationFailed("the site does not say who we are", source=source)
        if first:
            self._known = account
        elif account != self._known:
            raise AuthenticationFailed("the account changed in the middle of a pass", source=source)

    async def now(self) -> datetime:
        """The server's time, by an answer that proves who we are."""
        await self.same()
        return self._client.server_time or self._client.pacer.clock.now()


async def seeing(asked: Awaitable[T], source: str) -> T:
    """An answer about the site as a whole, which whoever may see the site at all is given."""
    try:
        return await asked
    except Refused as error:
        if error.status == 403:
            raise AuthenticationFailed(f"the credential is refused: {error.said}", source=source) from error
        raise Unreachable(f"no Jira answers at this address ({error.status})", source=source) from error
