"""Beyond loopback nobody reads without a token; on it, only this machine's own names answer."""

import hmac
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from services.bootstrap import open_app
from services.cli import app as common
from services.cli import live
from services.feed import access
from services.feed.access import InvalidTokens, Tokens, parse_tokens
from services.settings import InvalidSettings, load_settings
from services.web import serve_http, tokens_of

assert live
FIRST, SECOND = "first-token-0123456789", "second-token-0123456789"
STAGES = frozenset({"feed"})


def a_folder(
    folder: Path, http: str = "{tokens_file: tokens}", tokens: str = f"# for Grafana\n{FIRST}\n\n{SECOND}\n"
) -> Path:
    (folder / "strategy.yaml").write_text("strategy: {title: Acme}")
    (folder / "tokens").write_text(tokens)
    file = folder / "courseline.yaml"
    file.write_text(f"http: {http}\n")
    return file


@asynccontextmanager
async def served(file: Path, host: str = "127.0.0.1") -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        open_app(load_settings(file, {})[0]) as running,
        serve_http(running, STAGES, host, 0) as url,
        httpx2.AsyncClient(base_url=url.replace("0.0.0.0", "127.0.0.1"), trust_env=False) as client,
    ):
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_everything_but_livez_asks_for_a_token(tmp_path: Path) -> None:
    """Every route the service has, its pages, files and events: 401 without one, and none of its words."""
    async with served(a_folder(tmp_path), "0.0.0.0") as client:
        described = (await client.get("/openapi.json", headers=bearer(FIRST))).json()["paths"]
        pages = ["/", "/index.json", "/sources", "/nodes/OBJ-1", "/static/page.js", "/openapi.json", "/nowhere"]
        for path in [*described, *pages]:
            answer = await client.get(path)
            assert answer.status_code == (200 if path == "/livez" else 401), path
            if path != "/livez":
                assert answer.headers["www-authenticate"].startswith('Bearer realm="courseline"')
                assert answer.json()["error"]["fix"].startswith("send `Authorization: Bearer TOKEN`")
        for path in ("/", "/sources", "/static/page.js", "/readyz", "/metrics", "/api/v1/items"):
            assert (await client.get(path, headers=bearer(SECOND))).status_code == 200, path


async def test_a_wrong_token_is_none(tmp_path: Path) -> None:
    """Almost right, empty, of another scheme, in the address: refused."""
    wrong: list[dict[str, str]] = [
        bearer(FIRST[:-1]), bearer(FIRST + "x"), {"authorization": "Bearer"}, bearer(FIRST.upper()),
        bearer(f"{FIRST} {SECOND}"),
        {"authorization": FIRST}, {"authorization": f"Token {FIRST}"}, {"authorization": "Basic ###"},
        {"authorization": "Basic " + b64encode(f"{FIRST}:".encode()).decode()}, {"x-token": FIRST},
    ]  # fmt: skip
    async with served(a_folder(tmp_path)) as client:
        for headers in wrong:
            assert (await client.get("/api/v1/items", headers=headers)).status_code == 401, headers
        assert (await client.get(f"/api/v1/items?token={FIRST}")).status_code == 401
        assert (await client.get("/livez/../api/v1/items")).status_code == 401


async def test_a_browser_reads_pages_and_events_with_the_token_as_password(tmp_path: Path) -> None:
    """Event sources can set no header; what the browser was told once as a password, it sends with them too."""
    async with served(a_folder(tmp_path)) as client:
        client.auth = httpx2.BasicAuth("anybody", FIRST)
        assert (await client.get("/")).status_code == 200
        async with client.stream("GET", "/api/v1/events") as events:
            assert (events.status_code, events.headers["content-type"][:17]) == (200, "text/event-stream")


def test_every_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after one that fits, and by digests of one length."""
    compared: list[tuple[int, int]] = []

    def compare(given: bytes, known: bytes) -> bool:
        compared.append((len(given), len(known)))
        return hmac.compare_digest(given, known)

    tokens = Tokens.of([FIRST, SECOND])
    assert FIRST not in repr(tokens)
    with monkeypatch.context() as patched:
        patched.setattr(access, "hmac", type("Spy", (), {"compare_digest": staticmethod(compare)}))
        assert [tokens.admits(f"Bearer {one}") for one in (FIRST, "x")] == [True, False]
    assert compared == [(32, 32)] * 4


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "short", f"{FIRST}\nwith a space in it, long", "ümläüte-0123456789"]
)
def test_a_file_without_good_tokens_is_refused(text: str) -> None:
    """With the line, and without what stands there."""
    with pytest.raises(InvalidTokens) as refused:
        parse_tokens(text)
    assert all(line not in str(refused.value) for line in text.splitlines() if line)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "courseline.example"])
def test_beyond_loopback_without_tokens_is_3(tmp_path: Path, host: str) -> None:
    """Configured or by `--http`: nothing is bound, and the key to set is named."""
    a_file = a_folder(tmp_path, "{port: 0}")
    for command in (["up"], ["run", "feed"]):
        found = CliRunner().invoke(common.app, [*command, "-c", str(a_file), "--http", f"{host}:0"])
        assert (found.exit_code, "courseline.yaml: http.tokens_file: is needed" in found.output) == (3, True)
    a_file = a_folder(tmp_path, f'{{host: "{host}"}}')
    found = CliRunner().invoke(common.app, ["up", "-c", str(a_file)])
    assert (found.exit_code, "http.tokens_file" in found.output) == (3, True)
    assert not (tmp_path / "courseline.db").exists()


def test_loopback_needs_no_tokens(tmp_path: Path) -> None:
    """All of 127/8, ::1 and localhost are this machine; an empty file of tokens is refused even there."""
    settings = load_settings(a_folder(tmp_path, "{}"), {})[0]
    assert [tokens_of(settings, host) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost")] == [None] * 4
    with pytest.raises(InvalidSettings, match=r"http\.tokens_file: holds no token"):
        tokens_of(load_settings(a_folder(tmp_path, tokens=""), {})[0], "127.0.0.1")


async def test_other_names_are_refused_on_loopback(tmp_path: Path) -> None:
    """A page elsewhere that points its own name at this machine reads nothing."""
    async with served(a_folder(tmp_path, "{}"), "127.0.0.2") as client:
        refused: Any = await client.get("/api/v1/items", headers={"host": "evil.example"})
        assert (refused.status_code, (await client.get("/api/v1/items")).status_code) == (421, 200)
