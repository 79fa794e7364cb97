"""Pure: a finding's change as a message. Tracker text is hostile: it must not ping, link or format."""

from datetime import datetime
from typing import Any

from schemas.events import Finding, FindingClosed, FindingOpened, FindingWorsened
from services.alert.policy import Happened

_HEADS = {FindingOpened: "Drift", FindingWorsened: "Drift is worse", FindingClosed: "Back on course"}
_MARKS = {"amber": "▲", "red": "■"}
_LONGEST = 2_900  # of Slack's 3,000 characters for a section's text
#: The cause of what `a_test` says; no judgement has it.
_TEST = "test"


def a_test(channel: str, at: datetime) -> FindingOpened:
    """A message that only shows that a channel works; receivers know it by its cause, node and ``quiet``."""
    return FindingOpened(
        finding=Finding(
            id=f"{_TEST}-{channel}"[:64],
            node=_TEST,
            dimension="schedule",
            cause=_TEST,
            severity="amber",
            opened_at=at,
            changed_at=at,
            sentence=f"TEST: this message only shows that the channel {channel} works.",
            why="Nothing has drifted, and nothing is to be done.",
            quiet="a test of the channel",
        )
    )


def title(happened: Happened) -> str:
    """What happened, in a few words."""
    finding = happened.finding
    if finding.cause == _TEST:
        return "TEST of Courseline's alerts"
    if isinstance(happened, FindingClosed):
        return f"{_HEADS[FindingClosed] if happened.outcome == 'recovered' else 'Closed'}: {finding.node}"
    return f"{_MARKS[finding.severity]} {_HEADS.get(type(happened), 'Drift')}: {finding.node} is {finding.severity}"


def lines(happened: Happened, link: str | None) -> list[str]:
    """The message: what changed with numbers, why, who decides, where to look."""
    finding = happened.finding
    said = [finding.sentence, finding.why]
    if finding.owner:
        said.append(f"To decide: {finding.owner}.")
    if link:
        said.append(link)
    return said


def link_to(finding: Finding, public_url: str | None) -> str | None:
    """The node's page, where the service has an address of its own."""
    return f"{public_url.rstrip('/')}/nodes/{finding.node}" if public_url and finding.cause != _TEST else None


def escaped(text: str) -> str:
    """Text that Slack shows as it is: no mention, no link, no formatting (Slack, "Formatting text", escaping)."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign in "*_~`":
        text = text.replace(sign, f"\u200b{sign}")
    return text


def slack_body(happened: Happened, public_url: str | None) -> dict[str, Any]:
    """A message in Block Kit, with plain text for notifications."""
    finding, link = happened.finding, link_to(happened.finding, public_url)
    text = "\n".join(escaped(line) for line in lines(happened, None))[:_LONGEST]
    where = f"\n<{link}|Open {escaped(finding.node)}>" if link else ""
    return {
        "text": escaped(f"{title(happened)}. {finding.sentence}"),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title(happened)[:150], "emoji": False}},
            {"type": "section", "text": {"type": "mrkdwn", "text": text + where, "verbatim": True}},
        ],
    }
