"""Slack by an incoming webhook (Slack API, "Sending messages using incoming webhooks")."""

import json
from dataclasses import dataclass, field

from services.alert.channels import Message, post
from services.alert.render import slack_body


@dataclass(frozen=True)
class SlackChannel:
    name: str
    url: str = field(repr=False)
    public_url: str | None = None

    async def send(self, message: Message) -> str:
        body = slack_body(message.happened, self.public_url)
        return await post(self.url, json.dumps(body).encode(), {"content-type": "application/json; charset=utf-8"})
