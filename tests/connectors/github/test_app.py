"""A GitHub App: its signature buys tokens of an hour, which are renewed in time, once, and are told to nobody."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from connectors.base import AuthenticationFailed, ConnectorError, RateLimited, Unreachable
from connectors.github.credentials import AppKey
from connectors.github.sync import GitHubConnector
from services.simulator.faults import Fault
from services.simulator.github_accounts import App
from services.simulator.vendor_faults import github_unauthorized, limited, secondary_limit, suspended
from tests.connectors.github.conftest import EVENTS, ISSUES, Host, read, seen

TOKENS = "/access_tokens"


@cache
def keys(serial: int) -> tuple[str, str]:
    """A private and a public key in PEM."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return private.decode(), key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def app(host: Host) -> Iterator[App]:
    app = host.site.accounts.app = App(12, 34, keys(1)[1])
    yield app
    assert not any(secret in line for secret in app.tokens for line in (one.line for one in host.faults.asked))


def connector(host: Host, *, serial: int = 1, installation: int = 34, id_: int = 12, **more: Any) -> GitHubConnector:
    key = AppKey(id=id_, installation=installation, private_key=keys(serial)[0])
    return host.connector(token="", app=key, **more)


async def test_a_sync_with_an_app_reads_everything_with_one_token(host: Host, app: App) -> None:
    """Four lanes that begin at once ask for one token; nobody asks with another."""
    host.fill(250)
    reader = connector(host)
    assert seen(await read(reader, host.there)) == host.truth()
    assert sum(1 for one in host.faults.asked if TOKENS in one.path and one.status == 201) == 1
    await reader.close()


async def test_the_signature_is_dated_by_the_host(host: Host, app: App) -> None:
    """Our clock is months off: the first signature is refused, the second one is of the host's time, and short."""
    host.fill(1)
    reader = connector(host)
    await reader.discover()
    [claims] = app.signed
    assert claims["iss"] == "12"
    assert claims["iat"] == int(host.world.now.timestamp()) - 60
    assert claims["exp"] - claims["iat"] <= 600
    assert [one.status for one in host.faults.asked if TOKENS in one.path] == [401, 201]
    await reader.close()


async def test_without_names_the_installation_says_what_there_is(host: Host, app: App) -> None:
    """An app has no repositories of its own as a user has; it is told those that it is installed in."""
    for number in range(120):
        host.world.add_container("github", f"acme/r{number}", "R")
    app.account.sees = frozenset({"acme/web", *(f"acme/r{number}" for number in range(119))})
    reader = connector(host, repositories=())
    found = await reader.discover()
    assert {one.key for one in found.containers} == app.account.sees
    assert host.faults.count("/user/repos") == 0
    await reader.close()


@pytest.mark.parametrize("way", [ISSUES, EVENTS])
async def test_a_token_that_ends_in_the_middle_is_renewed_and_the_request_repeated(
    host: Host, app: App, way: str
) -> None:
    """401 in mid-pass: one more token, and the set is whole."""
    host.fill(250)
    host.faults.add(Fault(when=way, kind="pass", act=app.revoke))
    reader = connector(host)
    pages = await read(reader, host.there)
    assert seen(pages) == host.truth()
    assert pages[-1].complete
    given = sum(1 for one in host.faults.asked if TOKENS in one.path and one.status == 201)
    assert given == 2
    assert any(one.status == 401 and TOKENS not in one.path for one in host.faults.asked)
    await reader.close()


@pytest.mark.parametrize(("life", "step", "renewals"), [(3600, 3290, 1), (3600, 3310, 2), (60, 29, 1), (60, 31, 2)])
async def test_a_token_is_renewed_before_it_ends(host: Host, app: App, life: int, step: int, renewals: int) -> None:
    """Five minutes before, by the host's clock; a short one at half its life. No request is refused for it."""
    app.life = timedelta(seconds=life)
    reader = connector(host)
    await reader.discover()
    host.clock.at += step
    host.world.advance(host.world.now + timedelta(seconds=step))
    await reader.discover()
    assert sum(1 for one in host.faults.asked if TOKENS in one.path and one.status == 201) == renewals
    assert not any(one.status == 401 for one in host.faults.asked if TOKENS not in one.path)
    await reader.close()


@pytest.mark.parametrize("ends", [None, 5, "soon", "2000-01-01T00:00:00Z"])
async def test_a_token_whose_end_is_absurd_is_not_asked_for_without_end(host: Host, app: App, ends: Any) -> None:
    """No time is no token; a time in the past is no licence to ask before each request."""
    host.faults.add(Fault(when=TOKENS, kind="rewrite", times=None, change=lambda data: data | {"expires_at": ends}))
    host.fill(60)
    reader = connector(host)
    if ends is not None and str(ends).startswith("2000"):
        assert seen(await read(reader, host.there)) == host.truth()
        assert host.faults.count(TOKENS) <= 3
    else:
        with pytest.raises((Unreachable, AuthenticationFailed)):
            await read(reader, host.there)
        assert host.faults.count(TOKENS) <= 30
    await reader.close()


@pytest.mark.parametrize("token", ["", "a\r\nX: y", "ü", None])
async def test_a_token_that_is_none_is_never_sent(host: Host, app: App, token: Any) -> None:
    """What cannot stand in a header is a broken answer, tried again and then told."""
    host.faults.add(Fault(when=TOKENS, kind="rewrite", times=None, change=lambda data: data | {"token": token}))
    reader = connector(host)
    with pytest.raises(Unreachable, match="no token"):
        await reader.discover()
    assert {one.path for one in host.faults.asked} == {"/app/installations/34/access_tokens"}
    await reader.close()


async def test_a_second_refusal_ends_the_pass_with_what_mends_an_app(host: Host, app: App) -> None:
    """One renewal, one repetition, then the error; an app is not told to make a new token."""
    host.fill(5)
    host.faults.add(github_unauthorized(ISSUES))
    reader = connector(host)
    with pytest.raises(AuthenticationFailed, match="installation is refused") as caught:
        await read(reader, host.there)
    assert host.faults.count(ISSUES) == 2
    assert "private key" in caught.value.fix and "new token" not in str(caught.value) + caught.value.fix
    await reader.close()


WRONG: dict[str, dict[str, int]] = {"key": {"serial": 2}, "installation": {"installation": 99}, "app": {"id_": 13}}


@pytest.mark.parametrize("what", [*WRONG, "suspended"])
async def test_check_names_what_is_wrong_with_an_app(host: Host, app: App, what: str) -> None:
    """A wrong key, installation or number, a suspended one: exit code 4, and where to look."""
    app.suspended = what == "suspended"
    reader = connector(host, **WRONG.get(what, {}))
    [check] = await reader.check()
    assert (check.ok, check.exit_code, check.name) == (False, 4, "g: credential")
    assert "private key" in check.fix and "suspended" in check.fix
    assert ("suspended" in check.detail) == (what == "suspended")
    assert "PRIVATE" not in str(check)
    await reader.close()


async def test_an_installation_that_is_suspended_midway_ends_the_pass(host: Host, app: App) -> None:
    """It is not asked for another token for that, and nothing is complete."""
    host.fill(250)
    pages: list[Any] = []
    host.faults.add(replace(suspended(r"/issues\?.*since="), times=None))
    reader = connector(host)
    with pytest.raises(AuthenticationFailed, match="suspended"):
        await read(reader, host.there, on_page=pages.append)
    assert not any(page.complete for page in pages)
    assert sum(1 for one in host.faults.asked if TOKENS in one.path and one.status == 201) == 1
    await reader.close()


async def test_limits_on_the_tokens_themselves_are_obeyed(host: Host, app: App) -> None:
    """A wait is sat out, a long one ends the pass, a server error is tried again."""
    host.fill(5)
    host.faults.add(secondary_limit(TOKENS, retry_after=60), Fault(when=TOKENS, kind="answer", status=502, body=b""))
    reader = connector(host)
    assert seen(await read(reader, host.there)) == host.truth()
    assert host.faults.early == []
    await reader.close()
    host.faults.add(limited(TOKENS, retry_after="100000"))
    other = connector(host)
    with pytest.raises(RateLimited):
        await other.discover()
    await other.close()


async def test_no_error_tells_a_token_a_signature_or_a_key(host: Host, app: App) -> None:
    """A host that echoes whatever it got makes no leak, however long it is."""
    host.fill(3)
    reader = connector(host)
    texts = []

    async def failing(body: bytes, status: int, where: str) -> None:
        host.faults.clear()
        host.faults.add(Fault(when=where, kind="answer", status=status, body=body, times=None))
        with pytest.raises(ConnectorError) as caught:
            await read(reader, host.there)
        texts.append(f"{caught.value} {caught.value!r} {getattr(caught.value, 'fix', '')}")

    await reader.discover()
    [token] = app.tokens
    await failing(f'{{"message": "{"x" * 170} {token}"}}'.encode(), 422, ISSUES)
    app.revoke()
    signature = reader.client.credentials[0].secrets()[2]
    await failing(f'{{"message": "bad {signature}"}}'.encode(), 403, TOKENS)
    assert len(signature) > 200
    for secret in (token, token[:20], signature[:60], keys(1)[0][40:90]):
        assert secret not in "".join(texts)
        assert secret not in repr(reader.config) + repr(reader.config.app) + repr(reader.client.credentials)
    await reader.close()


async def test_a_redirect_of_the_token_request_is_not_followed(host: Host, app: App) -> None:
    """The signature goes to the configured address, or nowhere."""
    away = {"location": "http://127.0.0.1:9/app"}
    host.faults.add(Fault(when=TOKENS, kind="answer", status=307, headers=away, times=None))
    reader = connector(host)
    with pytest.raises(ConnectorError, match=r"307|redirects"):
        await reader.discover()
    assert all(TOKENS in one.path for one in host.faults.asked)
    await reader.close()
