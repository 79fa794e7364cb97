"""A wrong configuration is refused with every problem and its path, and no secret is repeated."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from connectors.github.sync import GitHubConnector
from services.bootstrap import connector_for
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
    assert settings.sources[0].token is not None
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
    assert settings.sources[1].token is not None
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


GITHUB = "sources: [{name: g, kind: github, organizations: [acme], CREDENTIAL}]"
APP = "app: {id: 12, installation: 34, private_key_file: app.pem}"


def with_keys(folder: Path) -> None:
    """An app's key, one with a password, one of another kind, and two tokens."""
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = serialization.BestAvailableEncryption(b"canary")
    for name, content in (
        ("app.pem", rsa.private_bytes(pem, pkcs8, serialization.NoEncryption())),
        ("locked.pem", rsa.private_bytes(pem, pkcs8, locked)),
        ("other.pem", Ed25519PrivateKey.generate().private_bytes(pem, pkcs8, serialization.NoEncryption())),
        ("one", b"canary-one"),
        ("two", b"canary-two"),
        ("blank", b" "),
    ):
        (folder / name).write_bytes(content)


def test_a_github_source_is_opened_by_an_app_or_by_several_tokens(folder: Path) -> None:
    """Each reaches the connector; nothing shows them."""
    with_keys(folder)
    for credential in (APP, "token_files: [one, two]"):
        (folder / "courseline.yaml").write_text(GITHUB.replace("CREDENTIAL", credential))
        settings, _ = load_settings(folder / "courseline.yaml", {})
        shown = repr(settings) + str(redacted(settings)) + repr(connector_for(settings.sources[0]))
        assert "canary" not in shown and "PRIVATE" not in shown
    connector = connector_for(settings.sources[0])
    assert isinstance(connector, GitHubConnector)
    assert connector.config.tokens == ("canary-one", "canary-two")


@pytest.mark.parametrize(
    ("credential", "problem"),
    [
        ("fields: {}", "sources[0].token_file: is missing (or give `token_files` or `app`)"),
        ("token_file: one, token_files: [two]", "sources[0].tokens: stands beside `token`; give one of them"),
        (f"token_file: one, {APP}", "sources[0].app: stands beside `token`; give one of them"),
        ("token_files: one", "sources[0].token_files: must be a list of names of files"),
        ("token_files: []", "sources[0].token_files: must be a list of names of files"),
        ("token_files: [one, gone]", "sources[0].token_files[1]: there is no such file, or it cannot be read"),
        ("token_files: [one, blank]", "sources[0].token_files[1]: is empty"),
        (
            APP.replace("app.pem", "gone"),
            "sources[0].app.private_key_file: there is no such file, or it cannot be read",
        ),
        (APP.replace("app.pem", "one"), "sources[0].app.private_key_file: is no private key in PEM without a password"),
        (APP.replace("app.pem", "locked.pem"), "sources[0].app.private_key_file: is no private key in PEM without"),
        (APP.replace("app.pem", "other.pem"), "sources[0].app.private_key_file: must be an RSA key"),
        (APP.replace("id: 12", "id: x"), "sources[0].app.id: "),
        (APP.replace("installation: 34, ", ""), "sources[0].app.installation: "),
    ],
)
def test_a_credential_that_opens_nothing_is_refused_with_its_key(folder: Path, credential: str, problem: str) -> None:
    """Exactly one of them, whole; the key that is named is the one in the file."""
    with_keys(folder)
    assert any(line.startswith(problem) for line in problems(folder, GITHUB.replace("CREDENTIAL", credential)))


def test_editors_know_every_way_to_open_a_github_source() -> None:
    """The schema names the files that secrets come from, one or several."""
    source = json_schema()["$defs"]["GitHubSource"]["properties"]
    assert source["token_files"]["items"]["type"] == source["token_file"]["type"] == "string"
    assert json_schema()["$defs"]["GitHubApp"]["properties"]["private_key_file"]["type"] == "string"
    assert "private_key" not in json_schema()["$defs"]["GitHubApp"]["required"]
