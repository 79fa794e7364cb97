"""`alerts test` tries the channels, says what each answered, and means it with its exit code."""

import json
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner, Result

from services.cli import alerts
from services.cli import app as common
from tests.alert.test_alerts import SECRET, Receiver, receiver

assert alerts
__all__ = ["receiver"]


def tried(folder: Path, channels: str, *arguments: str) -> Result:
    (folder / "strategy.yaml").write_text("strategy: {title: Acme}")
    (folder / "courseline.yaml").write_text(
        f"http: {{public_url: https://courseline.example}}\nalerts: {{channels: [{channels}]}}\n"
    )
    return CliRunner().invoke(common.app, ["alerts", "test", "-c", str(folder / "courseline.yaml"), *arguments])


def slack(name: str, url: str) -> str:
    return f'{{name: {name}, kind: slack, url: "{url}"}}'


def test_every_channel_gets_one_message_that_says_it_is_a_test(tmp_path: Path, receiver: Receiver) -> None:
    """Slack's text, the signed event and the log all say so; no link leads to a node that is none."""
    hook = f'{{name: hook, kind: webhook, url: "{receiver.url}", secret: {SECRET}}}'
    found = tried(tmp_path, f"{slack('chat', receiver.url)}, {hook}, {{name: operators, kind: log}}")
    assert found.exit_code == 0, found.output
    assert "ok   chat: the receiver answered 204\nok   hook: the receiver answered 204\n" in found.output
    assert "ok   operators: written to the log" in found.output
    (_, said), (headers, event) = receiver.came
    assert json.loads(said)["text"].startswith("TEST of Courseline")
    assert b"https://" not in said
    finding = Webhook(SECRET).verify(event, headers)["data"]["finding"]
    assert (finding["cause"], finding["node"], finding["quiet"]) == ("test", "test", "a test of the channel")


@pytest.mark.parametrize(("status", "code"), [(500, 1), (404, 1), (302, 1), (401, 4), (403, 4)])
def test_what_is_refused_is_said(tmp_path: Path, receiver: Receiver, status: int, code: int) -> None:
    """The status stands in the answer, the others are still tried, and the worst gives the exit code."""
    receiver.answers = [status, 204]
    found = tried(tmp_path, f"{slack('bad', receiver.url)}, {slack('good', receiver.url)}")
    assert found.exit_code == code
    assert f"FAIL bad: the receiver answered {status}\nok   good" in found.output


def test_a_receiver_that_is_away_is_5_and_its_address_stays_secret(tmp_path: Path) -> None:
    """The address of a chat is a credential."""
    found = tried(tmp_path, slack("chat", "http://127.0.0.1:9/canary"), "--json")
    assert (found.exit_code, "canary" in found.output) == (5, False)
    assert json.loads(found.stdout)[0]["answer"].startswith("the receiver could not be reached")


def test_one_channel_may_be_named(tmp_path: Path, receiver: Receiver) -> None:
    """Only it is told; a name that is none is 2 with those that are; no channel at all is 1."""
    both = f"{slack('a', receiver.url)}, {slack('b', receiver.url)}"
    assert tried(tmp_path, both, "b").exit_code == 0
    assert len(receiver.came) == 1
    found = tried(tmp_path, both, "c")
    assert (found.exit_code, "known: a, b" in found.output.replace("\n", " ")) == (2, True)
    assert tried(tmp_path, "").exit_code == 1
