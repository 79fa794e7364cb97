"""The command that begins: init."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from services.cli.app import CONFIG, FAILED, OK, Config, app, guarded, say
from services.cli.skeleton import ENVIRONMENT, GitHubAnswers, JiraAnswers, config_text, strategy_text

_SECRETS = ("secrets/jira", "secrets/github")


@app.command()
def init(
    config: Config = CONFIG,
    jira_url: Annotated[str | None, typer.Option(help="A Jira site, such as https://acme.atlassian.net.")] = None,
    jira_email: Annotated[str | None, typer.Option(help="The account of the token; on Jira Cloud only.")] = None,
    jira_project: Annotated[list[str] | None, typer.Option(help="A project's key; repeat for more.")] = None,
    jira_token_file: Annotated[Path | None, typer.Option(help="The file that holds the token.")] = None,
    github_url: Annotated[str, typer.Option(help="The REST API.")] = "https://api.github.com",
    github_repository: Annotated[list[str] | None, typer.Option(help="OWNER/NAME; repeat for more.")] = None,
    github_token_file: Annotated[Path | None, typer.Option(help="The file that holds the token.")] = None,
) -> None:
    """Write courseline.yaml, strategy.yaml and .env.example; asks on a terminal, or takes flags."""
    for option, value, file in (
        ("--jira-token-file", jira_url, jira_token_file),
        ("--github-token-file", github_repository, github_token_file),
    ):
        if value and (file is None or not file.is_file()):
            raise typer.BadParameter("must name a file that holds the token", param_hint=option)
    jira = JiraAnswers(jira_url, jira_email, jira_project or []) if jira_url else None
    github = GitHubAnswers(github_url, github_repository) if github_repository else None
    tokens = {
        name: file.read_text(encoding="utf-8").strip()
        for name, file, wanted in zip(_SECRETS, (jira_token_file, github_token_file), (jira, github), strict=True)
        if file is not None and wanted is not None
    }
    raise typer.Exit(guarded(lambda: _init(config, jira, github, tokens)))


def _init(config: Path, jira: JiraAnswers | None, github: GitHubAnswers | None, tokens: Mapping[str, str]) -> int:
    folder = config.parent
    named = (config.name, "strategy.yaml", ".env.example")
    present = [name for name in (*named, *(_SECRETS if tokens else ())) if (folder / name).exists()]
    if present:
        say(f"{', '.join(present)}: already there, and never overwritten; move it away, or name another file with -c")
        return FAILED
    if jira is None and github is None and sys.stdin.isatty():
        jira, github, tokens = _asked()
    texts = dict(
        zip(named, (config_text(jira, github), strategy_text(datetime.now(UTC).date()), ENVIRONMENT), strict=True)
    )
    _write(folder, config.name, {name: f"{token}\n" for name, token in tokens.items()} | texts)
    typer.echo(f"Wrote {', '.join(named)}{' and the tokens in secrets/' if tokens else ''}.")
    where = "" if config == CONFIG else f" -c {config}"
    steps = [] if jira or github else [(f"edit {config.name}", "name your trackers under `sources`")]
    steps += [
        (f"courseline check{where}", "credentials, containers, database; a fix for each failure"),
        (f"courseline sync{where}", "read the trackers once"),
        ("edit strategy.yaml", "your objectives and initiatives, and the work that serves them"),
        (f"courseline plan{where}", "what the strategy would do"),
        (f"courseline apply{where}", "make it current; the first one freezes the baseline"),
        (f"courseline up{where}", "keep reading and judging; the page on http://127.0.0.1:8600"),
    ]
    typer.echo("Next:")
    for step, why in steps:
        typer.echo(f"  {step:24}  # {why}")
    return OK


def _asked() -> tuple[JiraAnswers | None, GitHubAnswers | None, dict[str, str]]:
    """What somebody at a terminal answers; an empty address or list skips a tracker."""
    jira, github, tokens = None, None, {}
    if url := typer.prompt("Jira site, such as https://acme.atlassian.net (empty: none)", "", show_default=False):
        email = typer.prompt("E-mail of the token's account (empty on Data Center)", "", show_default=False)
        projects = typer.prompt("Projects, such as PAY WEB (empty: all that are visible)", "", show_default=False)
        jira = JiraAnswers(url, email or None, projects.replace(",", " ").split())
        tokens[_SECRETS[0]] = typer.prompt("Jira token", hide_input=True)
    if names := typer.prompt("GitHub repositories, such as acme/web (empty: none)", "", show_default=False):
        address = typer.prompt("GitHub API", "https://api.github.com")
        github = GitHubAnswers(address, names.replace(",", " ").split())
        tokens[_SECRETS[1]] = typer.prompt("GitHub token", hide_input=True)
    return jira, github, tokens


def _write(folder: Path, config: str, texts: Mapping[str, str]) -> None:
    """Write the files and read them as every command will; where that refuses them, none is left behind."""
    from schemas.problems import InvalidFile
    from schemas.strategy import parse_strategy
    from services.settings import load_settings

    written = []
    try:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600 if name in _SECRETS else 0o644, exist_ok=False)
            written.append(path)
            path.write_text(text, encoding="utf-8")
        settings, _ = load_settings(folder / config, {})
        channels = [channel.name for channel in settings.alerts.channels]
        parse_strategy(texts["strategy.yaml"], file="strategy.yaml", channels=channels)
    except (InvalidFile, OSError):
        for path in written:
            path.unlink()
        raise
