"""`init` writes files that every other command takes, and never over what is there."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from schemas.strategy import parse_strategy
from services.cli import app as common
from services.cli import begin, live, maintenance, strategy
from services.cli.skeleton import strategy_text
from services.settings import GitHubSource, JiraSource, load_settings
from tests.spine.conftest import Organisation, organisation

assert begin and live and maintenance and strategy
__all__ = ["organisation"]


def courseline(*arguments: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(common.app, list(arguments), input=answers)


def test_what_init_writes_is_taken_by_every_command(tmp_path: Path) -> None:
    """Without a tracker yet: check, sync, plan, apply and status are content with it."""
    file = str(tmp_path / "new" / "courseline.yaml")
    found = courseline("init", "-c", file)
    assert found.exit_code == 0, found.output
    for step in ("check", "sync", "plan", "apply", "up"):
        assert f"courseline {step} -c {file}" in found.output
    for command in ("check", "sync", "plan", "apply", "status", "drift"):
        found = courseline(command, "-c", file)
        assert found.exit_code == 0, (command, found.output)
    assert "INI-1" in courseline("status", "-c", file).output


def test_the_commented_sources_are_good(tmp_path: Path) -> None:
    """Taking the # away from the examples gives sources that the settings take."""
    file = tmp_path / "courseline.yaml"
    courseline("init", "-c", str(file))
    head, _, tail = file.read_text().partition("sources: []")
    file.write_text(head + "sources:" + tail.replace("\n#  ", "\n  ").replace("\n#     token", "\n     token"))
    (tmp_path / "secrets").mkdir()
    for name in ("jira", "github"):
        (tmp_path / "secrets" / name).write_text("token")
    settings, _ = load_settings(file, {})
    assert [source.kind for source in settings.sources] == ["jira", "github"]


@pytest.mark.parametrize("name", ["courseline.yaml", "strategy.yaml", ".env.example"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    """One file that is there stops it all: exit code 1, its name, and no other file."""
    (tmp_path / name).write_text("mine")
    found = courseline("init", "-c", str(tmp_path / "courseline.yaml"))
    assert found.exit_code == 1
    assert f"{name}: already there" in found.output
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_flags_tie_it_to_trackers(organisation: Organisation) -> None:
    """With a simulated organisation behind the flags, a sync reads them at once; tokens stay in their files."""
    known = organisation.configured("known").parent / "secrets"
    settings = organisation.settings("known2").sources
    jira = next(one for one in settings if isinstance(one, JiraSource))
    github = next(one for one in settings if isinstance(one, GitHubSource))
    file = organisation.folder / "new" / "courseline.yaml"
    found = courseline(
        "init", "-c", str(file), "--jira-url", jira.url, "--jira-email", jira.email or "", "--jira-project", "PAY",
        "--jira-token-file", str(known / "jira"), "--github-url", github.url, "--github-repository", "acme/web",
        "--github-token-file", str(known / "github"),
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    token = jira.token.get_secret_value()
    assert token not in found.output + file.read_text()
    assert (file.parent / "secrets" / "jira").stat().st_mode & 0o777 == 0o600
    read = courseline("sync", "-c", str(file))
    assert read.exit_code == 0, read.output
    assert "jira: 0 items seen" not in read.output and "github: 0 items seen" not in read.output
    assert courseline("sync", "-c", str(file), "--source", "nowhere").exit_code == 2


def test_wrong_flags_leave_nothing_behind(tmp_path: Path) -> None:
    """A missing token file is 2, an address that is none is 3 with its key, and the folder stays empty."""
    folder = tmp_path / "new"
    file = ("-c", str(folder / "courseline.yaml"))
    assert courseline("init", *file, "--jira-url", "https://a.example").exit_code == 2
    token = tmp_path / "token"
    token.write_text("canary-token")
    found = courseline("init", *file, "--jira-url", "acme: {no}", "--jira-token-file", str(token))
    assert (found.exit_code, "courseline.yaml: sources[0].url: must be an address" in found.output) == (3, True)
    assert "canary" not in found.output
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_whoever_is_at_a_terminal_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hostile answers stay values; the token is neither echoed nor in the file."""
    monkeypatch.setattr(begin, "sys", type("Terminal", (), {"stdin": type("In", (), {"isatty": lambda: True})}))
    file = tmp_path / "courseline.yaml"
    answers = 'https://acme.atlassian.net\nbot@acme.example", token: "x\nPAY, WEB\ncanary-token\nacme/web\n\ncanary-2\n'
    found = courseline("init", "-c", str(file), answers=answers)
    assert found.exit_code == 0, found.output
    jira, github = load_settings(file, {})[0].sources
    assert isinstance(jira, JiraSource) and isinstance(github, GitHubSource)
    assert (jira.email, jira.projects) == ('bot@acme.example", token: "x', ("PAY", "WEB"))
    assert (jira.token.get_secret_value(), github.repositories) == ("canary-token", ("acme/web",))
    assert "canary" not in found.output + file.read_text()


def test_the_skeleton_holds_on_any_day() -> None:
    """On the last day of February and of December as well."""
    from datetime import date

    for day in (date(2028, 2, 29), date(2026, 12, 31), date(2027, 1, 1)):
        assert parse_strategy(strategy_text(day), file="strategy.yaml").initiatives[0].start == day
