"""How one GitHub host is reached, and what lets us in."""

import msgspec

from connectors.github.credentials import AppKey, Credential, Exchange, HostClock, Installation
from connectors.pacing import Clock, Pacer


class GitHubConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one GitHub host. ``url`` is its API's root. Let in by one of ``token``, ``tokens`` or ``app``."""

    name: str
    url: str = "https://api.github.com"
    token: str = ""
    tokens: tuple[str, ...] = ()
    app: AppKey | None = None
    repositories: tuple[str, ...] = ()  #: ``owner/name``; none, and no organizations: all of the credentials
    organizations: tuple[str, ...] = ()
    project_boards: tuple[str, ...] = ()  #: ``owner/number``; of an item on several, the first one counts
    fields: dict[str, str] = {}
    team_field: str | None = None
    concurrency: int = 4
    rate: float | None = None

    def __repr__(self) -> str:
        return f"GitHubConfig(name={self.name!r}, url={self.url!r})"


def credentials_of(config: GitHubConfig, clock: HostClock, own: Clock | None, exchange: Exchange) -> list[Credential]:
    """What the configuration lets us in with: one app, or one or several tokens."""

    def pacer() -> Pacer:
        return Pacer(concurrency=config.concurrency, rate=config.rate, clock=own)

    if config.app is not None:
        return [Installation(config.app, pacer(), clock, exchange)]
    if not config.tokens:
        return [Credential("the token", pacer(), config.token)]
    count = len(config.tokens)
    return [Credential(f"token {at} of {count}", pacer(), one) for at, one in enumerate(config.tokens, 1)]
