"""Channels: one file each; a channel sends one message and says how it went."""

from dataclasses import dataclass
from typing import Protocol

import httpx2

from services.alert.policy import Happened

TIMEOUT_S = 20.0


class Undelivered(Exception):
    """The message did not arrive. ``wait_s`` is what the receiver asks for; ``final``: it will never arrive.

    ``status`` is the HTTP status that it answered; None where nothing did.
    """

    def __init__(
        self, reason: str, *, wait_s: float | None = None, final: bool = False, status: int | None = None
    ) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.final = final
        self.status = status


@dataclass(frozen=True)
class Message:
    """What happened, with the id that stays the same over all tries, and the event as it stands on the stream."""

    id: str
    happened: Happened
    event: bytes


class Channel(Protocol):
    """Somewhere to tell a team."""

    @property
    def name(self) -> str: ...

    async def send(self, message: Message) -> str:
        """Deliver the message, and say what was answered. Raises Undelivered."""
        ...


async def post(url: str, content: bytes, headers: dict[str, str]) -> str:
    """POST without following redirects; says what was answered, not in its words. Raises Undelivered."""
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
            answer = await client.post(url, content=content, headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Undelivered(f"the receiver could not be reached: {type(error).__name__}") from None
    said = f"the receiver answered {answer.status_code}"
    if 200 <= answer.status_code < 300:
        return said
    told = answer.headers.get("retry-after", "")
    wait = float(told) if told.isdigit() else None
    raise Undelivered(said, wait_s=wait, final=answer.status_code == 410, status=answer.status_code)
