"""``courseline hooks`` as scripts see it."""

import json

from typer.testing import CliRunner, Result

from services.cli import app as common
from services.cli import hooks
from tests.spine.conftest import Organisation, organisation

assert hooks
__all__ = ["organisation"]


def courseline(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(common.app, ["hooks", *arguments])


def test_install_then_check(organisation: Organisation) -> None:
    """1 while a hook is missing, 0 once it is registered, with a line a registration."""
    config = str(organisation.configured())
    given = {f"COURSELINE_SOURCES__{n}__WEBHOOK_SECRET": "correct-horse" for n in (0, 1)}
    given["COURSELINE_HTTP__PUBLIC_URL"] = "https://courseline.acme.example"
    before = courseline("check", "-c", config, **given)
    assert before.exit_code == 1
    assert "FAIL acme-jira: hook: there is none for this service" in before.output
    assert "fix: run `courseline hooks install --source acme-jira`" in before.output
    assert courseline("install", "-c", config, **given).exit_code == 0
    after = courseline("check", "-c", config, "--json", **given)
    assert after.exit_code == 0
    assert [one["ok"] for one in json.loads(after.stdout)] == [True, True, True]
    assert "correct-horse" not in after.output


def test_what_is_not_configured_is_said(organisation: Organisation) -> None:
    """Without a public address nothing is registered anywhere; an unknown source is a wrong option."""
    config = str(organisation.configured())
    found = courseline("install", "-c", config)
    assert (found.exit_code, "http.public_url is not set" in found.output) == (1, True)
    assert courseline("check", "-c", config, "--source", "nowhere").exit_code == 2
