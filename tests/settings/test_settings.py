"""A wrong configuration is refused with every problem and its path, and no secret is repeated."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from services.settings import GitHubSource, InvalidSettings, json_schema, load_settings, redacted

GOOD = """
sources:
  - {name: acme-jira, kind: jira, url: https://acme.atlassian.net, email: bot@acme.example, token_file: jira,
     projects: [PAY], poll_every: 5m}
  - {name: acme-github, kind: github, token: canary-token, repositories: [acme/web]}
alerts: {channels: [{name: chat, kind: slack, url: "https://hooks.example/canary-url"}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "strategy.yaml").write_text("objectives: []")
    (tmp_path / "jira").write_text("canary-file\n")
    return tmp_path


def problems(folder: Path, text: str, environment: dict[str, str] | None = None) -> list[str]:
    file = folder / "courseline.yaml"
    file.write_text(text)
    with pytest.raises(InvalidSettings) as refused:
        load_settings(file, environment or {})
    said = refused.value.lines()
    assert "canary" not in "\n".join(said)
    assert all(line.startswith("courseline.yaml: ") for line in said)
    return [line.removeprefix("courseline.yaml: ") for line in said]


def test_a_good_file_is_read_with_its_secrets(folder: Path) -> None:
    """Secrets come from files beside the configuration; nothing shows them."""
    (folder / "courseline.yaml").write_text(GOOD)
    settings, warnings = load_settings(folder / "courseline.yaml", {})
    assert settings.sources[0].token.get_secret_value() == "canary-file"
    assert settings.sources[0].poll_every == timedelta(minutes=5)
    assert settings.database_url == f"sqlite:///{folder.resolve()}/courseline.db"
    assert (warnings, "canary" in repr(settings), "canary" in str(redacted(settings))) == ([], False, False)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sorces: []", "sorces"),
        ("stream: rabbit", "stream"),
        ("http: {port: eighty}", "http.port"),
        ("sources: [{name: a, kind: jira, url: https://x.example, token: canary, emial: x}]", "sources[0].emial"),
        ("sources: [{name: a, kind: trello, url: https://x.example, token: canary}]", "sources[0]"),
        ("sources: [{name: a, kind: github}]", "sources[0].token"),
        ("sources: [{name: a, kind: github, token_file: none}]", "sources[0].token_file"),
        ("sources: [{name: a, kind: jira, url: 'https://u:canary@x.example', token: canary}]", "sources[0].url"),
        ("sources: [{name: 'a:b', kind: github, token: canary}]", "sources[0].name"),
        ("sources: [{name: a, kind: github, token: canary, poll_every: soon}]", "sources[0].poll_every"),
        ("sources: [{name: a, kind: github, token: x}, {name: a, kind: github, token: x}]", "sources[1].name"),
        ("sources: [{name: a, kind: github, token: x, project_boards: [acme]}]", "sources[0].project_boards[0]"),
        ("sources: [{name: a, kind: github, token: x, project_boards: [a/1, acme/0]}]", "sources[0].project_boards[1]"),
        ("sources: [{name: a, kind: github, token: x, project_boards: ['a/7\n']}]", "sources[0].project_boards[0]"),
        ("sources: [{name: a, kind: github, token: x, project_boards: [acme/web]}]", "sources[0].project_boards[0]"),
        ("sources: [{name: a, kind: github, token: x, project_boards: acme/7}]", "sources[0].project_boards"),
        ("sources: [{name: a, kind: github, token: x, project_boards: [a/7, A/7]}]", "sources[0].project_boards"),
        (
            "sources: [{name: a, kind: jira, url: https://x.example, token: x, project_boards: [a/7]}]",
            "sources[0].project_boards",
        ),
        ("strategy: missing.yaml", "strategy"),
        ("database: x\ndatabase: y", "database"),
        ("", ""),
        ("[1, 2]", ""),
        ("sources: [", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_path(folder: Path, text: str, path: str) -> None:
    """Unknown keys, wrong types, missing files, doubled keys, no file at all."""
    assert any(line.startswith(path) for line in problems(folder, text))


def test_every_problem_is_listed(folder: Path) -> None:
    """Three mistakes are three lines."""
    text = "stream: rabbit\nhttp: {prot: 1}\nsources: [{name: a, kind: github, token_file: none}]"
    said = problems(folder, text)
    assert {line.split(":")[0] for line in said} >= {"stream", "http.prot", "sources[0].token_file"}
    assert "did you mean `port`" in "\n".join(said)


def test_variables_override_the_file(folder: Path) -> None:
    """``__`` nests, a number counts in a list; a variable that sets nothing is warned of."""
    (folder / "courseline.yaml").write_text(GOOD)
    environment = {
        "COURSELINE_HTTP__PORT": "9000",
        "COURSELINE_SOURCES__1__TOKEN": "other",
        "COURSELINE_DATBASE": "x",
        "COURSELINE_LOG_LEVEL": "info",
    }
    settings, warnings = load_settings(folder / "courseline.yaml", environment)
    assert settings.http.port == 9000
    assert settings.sources[1].token.get_secret_value() == "other"
    assert warnings == ["the variable COURSELINE_DATBASE sets nothing; did you mean COURSELINE_DATABASE?"]


def test_project_boards_are_read(folder: Path) -> None:
    """An owner and a number each, in the order in which they count; the schema tells editors so."""
    text = GOOD.replace("repositories: [acme/web]", "repositories: [acme/web], project_boards: [acme/7, A_b-1/12]")
    (folder / "courseline.yaml").write_text(text)
    source = load_settings(folder / "courseline.yaml", {})[0].sources[1]
    assert isinstance(source, GitHubSource)
    assert source.project_boards == ("acme/7", "A_b-1/12")
    found = json_schema()["$defs"]["GitHubSource"]["properties"]["project_boards"]
    assert re.match(found["items"]["pattern"], "acme/7")
    assert not re.match(found["items"]["pattern"], "acme/web")


def test_the_schema_knows_every_key() -> None:
    """Editors complete what the file may hold, files for secrets included."""
    text = str(json_schema())
    assert all(key in text for key in ("token_file", "poll_every", "bootstrap_servers", "public_url"))
