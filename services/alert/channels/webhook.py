"""A signed webhook: Standard Webhooks 1.0.0 around the event as CloudEvents JSON."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from standardwebhooks import Webhook

from services.alert.channels import Message, post


@dataclass(frozen=True)
class WebhookChannel:
    """``webhook-id`` is the same for every try of a message, so a receiver can tell a repeated one."""

    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)  #: ``whsec_…``

    async def send(self, message: Message) -> str:
        now = datetime.now(UTC)
        signature = Webhook(self.secret).sign(message.id, now, message.event.decode())
        return await post(
            self.url,
            message.event,
            {
                "content-type": "application/cloudevents+json",
                "webhook-id": message.id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signature,
            },
        )
