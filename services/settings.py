"""courseline.yaml: what to read, where to keep it, whom to tell. Variables override it, secrets come from files."""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    WithJsonSchema,
)

from schemas.problems import InvalidFile, Problem, key_path, problems_of, unreadable
from schemas.yaml_text import read_yaml

PREFIX = "COURSELINE_"
#: Variables that are not keys of the file.
_OTHER_VARIABLES = frozenset({"COURSELINE_LOG_LEVEL", "COURSELINE_CONFIG"})
#: A secret and the key that names the file it is in.
_FROM_FILES = {
    "token_file": "token",
    "token_files": "tokens",
    "private_key_file": "private_key",
    "webhook_secret_file": "webhook_secret",
    "url_file": "url",
    "secret_file": "secret",
}
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
_SPAN = re.compile(r"^(\d+)(s|m|h|d)$")
_BOARD = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[1-9][0-9]{0,8}$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class InvalidSettings(InvalidFile):
    """A configuration that cannot be used, with every problem found in it."""


def _span(value: object) -> timedelta:
    found = _SPAN.match(value) if isinstance(value, str) else None
    if found is None or int(found[1]) == 0 or int(found[1]) > 100_000:
        raise ValueError("must be a time span such as 60s, 5m, 1h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError("must be letters, digits and . _ -, at most 63 of them")
    return text


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address that begins with https:// or http://")
    if parts.username or parts.password:
        raise ValueError("must hold no user or password; put the token into `token_file`")
    return text


def _database(text: str) -> str:
    from services.storage.database import driver_url  # SQLAlchemy, only once a configuration is read

    driver_url(text)
    return text


def _board(text: str) -> str:
    if not _BOARD.fullmatch(text):
        raise ValueError("must be the owner and the number of a project board, such as acme/7")
    return text


def _boards(names: tuple[str, ...]) -> tuple[str, ...]:
    if len({name.lower() for name in names}) < len(names):
        raise ValueError("names a board twice")
    return names


def _secret(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty")
    return value


def _rsa_key(secret: SecretStr) -> SecretStr:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(secret.get_secret_value().encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("is no private key in PEM without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("must be an RSA key, which is what GitHub gives an app")
    return secret


Span = Annotated[
    timedelta,
    BeforeValidator(_span),
    PlainSerializer(lambda span: f"{int(span.total_seconds())}s", return_type=str),
    WithJsonSchema({"type": "string", "pattern": _SPAN.pattern}),
]
Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, AfterValidator(_address)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
BoardName = Annotated[str, AfterValidator(_board), Field(json_schema_extra={"pattern": _BOARD.pattern})]
Port = Annotated[int, Field(strict=True, ge=0, le=65535)]


class Section(BaseModel):
    """What every part of the file shares: it is frozen, knows its keys, and never repeats a value in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Http(Section):
    host: str = "127.0.0.1"
    port: Port = 8600
    tokens_file: str | None = None
    public_url: Address | None = None


class Kafka(Section):
    bootstrap_servers: Annotated[tuple[str, ...], Field(min_length=1)] = ("localhost:9092",)
    topic_prefix: str = "courseline."
    security: dict[str, str] = {}


class People(Section):
    names: bool = False


class Source(Section):
    """What every tracker has."""

    name: Name
    url: Address
    poll_every: Span = timedelta(seconds=60)
    webhook_secret: Secret | None = None
    fields: dict[str, str] = {}
    team_field: str | None = None
    concurrency: Annotated[int, Field(strict=True, ge=1, le=32)] = 4
    pace: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"


class JiraSource(Source):
    kind: Literal["jira"]
    token: Secret
    email: str | None = None
    projects: tuple[str, ...] = ()

    @property
    def rate(self) -> float | None:
        """Requests a second: as configured, 8 on Atlassian's own cloud, elsewhere as the answers ask."""
        if self.pace != "auto":
            return self.pace
        return 8.0 if (urlsplit(self.url).hostname or "").endswith(".atlassian.net") else None


class GitHubApp(Section):
    """An app's number, the number of its installation, and its private key."""

    id: Annotated[int, Field(strict=True, ge=1)]
    installation: Annotated[int, Field(strict=True, ge=1)]
    private_key: Annotated[Secret, AfterValidator(_rsa_key)]


class GitHubSource(Source):
    """One of ``token``, ``tokens`` and ``app`` opens it."""

    kind: Literal["github"]
    token: Secret | None = None
    tokens: tuple[Secret, ...] = ()
    app: GitHubApp | None = None
    url: Address = "https://api.github.com"
    repositories: tuple[Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")], ...] = ()
    organizations: tuple[str, ...] = ()
    project_boards: Annotated[tuple[BoardName, ...], AfterValidator(_boards)] = ()

    @property
    def rate(self) -> float | None:
        """Requests a second: as configured, 10 on github.com, elsewhere as the answers ask."""
        if self.pace != "auto":
            return self.pace
        return 10.0 if urlsplit(self.url).hostname == "api.github.com" else None


class LogSettings(Section):
    kind: Literal["log"]
    name: Name


class SlackSettings(Section):
    kind: Literal["slack"]
    name: Name
    url: Secret


class WebhookSettings(Section):
    kind: Literal["webhook"]
    name: Name
    url: Secret
    secret: Secret


Channel = Annotated[LogSettings | SlackSettings | WebhookSettings, Field(discriminator="kind")]


class Alerts(Section):
    channels: tuple[Channel, ...] = ()


class Settings(Section):
    """The whole of courseline.yaml. Paths are as written; `folder` is what they are relative to."""

    strategy: str = "strategy.yaml"
    database: Annotated[str, AfterValidator(_database)] = "sqlite:///courseline.db"
    stream: Literal["embedded", "kafka"] = "embedded"
    kafka: Kafka = Kafka()
    http: Http = Http()
    people: People = People()
    sources: tuple[Annotated[JiraSource | GitHubSource, Field(discriminator="kind")], ...] = ()
    alerts: Alerts = Alerts()
    folder: Annotated[Path, Field(exclude=True)] = Path()
    file: Annotated[str, Field(exclude=True)] = "courseline.yaml"

    @property
    def strategy_file(self) -> Path:
        return self.folder / self.strategy

    @property
    def database_url(self) -> str:
        """The database's URL, with a relative SQLite file taken from the configuration's folder."""
        prefix = "sqlite:///"
        path = self.database.removeprefix(prefix)
        if self.database.startswith(prefix) and path and not path.startswith("/"):
            return f"{prefix}{(self.folder / path).resolve()}"
        return self.database


def load_settings(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[Settings, list[str]]:
    """The settings in a file, and warnings. Raises InvalidSettings with every problem; no value is ever repeated."""
    file = path.name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidSettings(file, [Problem("", "there is no such file; `courseline init` writes one")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(file, [Problem("", unreadable(error))]) from None
    data, problems = read_yaml(text)
    if problems and not data:
        raise InvalidSettings(file, problems)
    for hidden in ("folder", "file"):
        if hidden in data:
            problems.append(Problem(hidden, "unknown key"))
            del data[hidden]
    warnings = _override(data, environment)
    files: dict[str, str] = {}
    problems += _read_secrets(data, path.parent, (), files)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate({**data, "folder": path.parent, "file": file})
    except ValidationError as error:
        problems += [
            Problem(files.get(problem.path, problem.path), problem.message)
            for problem in problems_of(error, Settings)
            if not any(known.path and known.path.startswith(problem.path) for known in problems)
        ]
    if settings is not None:
        problems += _contradictions(settings)
    if problems or settings is None:
        raise InvalidSettings(file, problems)
    return settings, warnings


def _override(data: dict[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Put COURSELINE_… variables in their places (``__`` nests, a number counts in a list); warn of unknown ones."""
    warnings = []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in _OTHER_VARIABLES:
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        if keys[0] not in Settings.model_fields or keys[0] in ("folder", "file"):
            near = get_close_matches(keys[0], Settings.model_fields, n=1)
            hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
            warnings.append(f"the variable {name} sets nothing{hint}")
            continue
        _place(data, keys, _plain(environment[name]))
    return warnings


def _plain(text: str) -> Any:
    found, _ = read_yaml(f"value: {text}")
    value = found.get("value", text)
    return text if value is None or isinstance(value, dict) else value


def _place(data: Any, keys: list[str], value: Any) -> None:
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        if isinstance(data, list):
            if not key.isdigit() or int(key) >= len(data):
                return
            if following is None:
                data[int(key)] = value
                return
            data = data[int(key)]
        elif isinstance(data, dict):
            if following is None:
                data[key] = value
                return
            data = data.setdefault(key, {})
        else:
            return


def _read_secrets(data: Any, folder: Path, path: tuple[int | str, ...], files: dict[str, str]) -> list[Problem]:
    """Replace every ``…_file`` key by the secret in that file; a missing file is a problem with the key's path.

    ``files`` gets the path of each key that named a file, by the path of the secret that came from it.
    """
    if isinstance(data, list):
        return [problem for at, one in enumerate(data) for problem in _read_secrets(one, folder, (*path, at), files)]
    if not isinstance(data, dict):
        return []
    problems = []
    for key in list(data):
        if key in _FROM_FILES and path:
            where = key_path((*path, key))
            secret, several = _FROM_FILES[key], key.endswith("_files")
            named = _names_of_files(data.pop(key), several=several)
            if named is None:
                what = "a list of names of files" if several else "the name of a file"
                problems.append(Problem(where, f"must be {what}"))
                continue
            if secret in data:
                problems.append(Problem(where, f"stands beside `{secret}`; give one of them"))
                continue
            read = []
            for at, name in enumerate(named):
                place = f"{where}[{at}]" if several else where
                files[key_path((*path, secret, at) if several else (*path, secret))] = place
                try:
                    read.append((folder / name).read_text(encoding="utf-8").strip())
                except (OSError, UnicodeDecodeError):
                    problems.append(Problem(place, "there is no such file, or it cannot be read"))
            if len(read) == len(named):
                data[secret] = read if several else read[0]
        else:
            problems += _read_secrets(data[key], folder, (*path, key), files)
    return problems


def _names_of_files(value: object, *, several: bool) -> list[str] | None:
    named = value if several else [value]
    return named if isinstance(named, list) and named and all(isinstance(one, str) for one in named) else None


def _contradictions(settings: Settings) -> Iterator[Problem]:
    if not settings.strategy_file.is_file():
        yield Problem("strategy", "there is no such file")
    if settings.http.tokens_file and not (settings.folder / settings.http.tokens_file).is_file():
        yield Problem("http.tokens_file", "there is no such file")
    for at, source in enumerate(settings.sources):
        if isinstance(source, GitHubSource):
            given = [name for name in ("token", "tokens", "app") if getattr(source, name)]
            if not given:
                yield Problem(f"sources[{at}].token_file", "is missing (or give `token_files` or `app`)")
            elif len(given) > 1:
                yield Problem(f"sources[{at}].{given[1]}", f"stands beside `{given[0]}`; give one of them")
    for key, names in (
        ("sources", [source.name for source in settings.sources]),
        ("alerts.channels", [channel.name for channel in settings.alerts.channels]),
    ):
        for at, name in enumerate(names):
            if name in names[:at]:
                yield Problem(f"{key}[{at}].name", "is given twice")


def redacted(settings: Settings) -> dict[str, Any]:
    """The settings as they are in force, every secret as asterisks."""
    found: dict[str, Any] = settings.model_dump(mode="json")
    if "@" in settings.database:
        found["database"] = re.sub(r"//([^:@/]+):[^@]*@", r"//\1:***@", settings.database)
    return found


def json_schema() -> dict[str, Any]:
    """JSON Schema for editors: ``# yaml-language-server: $schema=…``; secrets may be given as ``…_file``."""
    schema = Settings.model_json_schema(mode="validation")
    properties = [schema["properties"], *(part.get("properties", {}) for part in schema.get("$defs", {}).values())]
    for part in properties:
        for key, secret in _FROM_FILES.items():
            if secret in part and "password" in str(part[secret]):
                one = {"type": "string", "description": f"file that holds `{secret}`"}
                part[key] = {"type": "array", "items": one, "minItems": 1} if key.endswith("_files") else one
    for definition in schema.get("$defs", {}).values():
        secrets = set(_FROM_FILES.values())
        definition["required"] = [name for name in definition.get("required", []) if name not in secrets]
    for hidden in ("folder", "file"):
        schema["properties"].pop(hidden, None)
    return schema
