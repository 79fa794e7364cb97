"""The log channel: one line, for those who begin."""

from dataclasses import dataclass

import structlog

from services.alert.channels import Message
from services.alert.render import lines, title

log = structlog.get_logger("courseline.alert")


@dataclass(frozen=True)
class LogChannel:
    name: str

    async def send(self, message: Message) -> str:
        log.warning("alert", channel=self.name, id=message.id, title=title(message.happened),
                    text=" ".join(lines(message.happened, None)))  # fmt: skip
        return "written to the log"
