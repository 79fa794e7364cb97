"""Several tokens: each with a budget of its own and eyes of its own; what one cannot do, another one does."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from connectors.base import AuthenticationFailed, Container, Page, Skippable
from connectors.github.sync import GitHubConnector
from services.simulator.model import Container as Repository
from tests.connectors.github.conftest import Host, read, seen

FIRST, SECOND, THIRD = "canary-first", "canary-second", "canary-third"


@pytest.fixture
async def two(host: Host) -> AsyncIterator[GitHubConnector]:
    """Two tokens; the first sees ``acme/web`` and the second ``acme/pay``."""
    host.site.accounts.add(FIRST, "acme/web")
    host.site.accounts.add(SECOND, "acme/pay")
    made = host.connector(token="", tokens=(FIRST, SECOND), repositories=())
    yield made
    await made.close()


@pytest.fixture
def pay(host: Host) -> Repository:
    return host.world.add_container("github", "acme/pay", "Pay")


def place(repository: Repository) -> Container:
    return Container(id=str(repository.id), key=repository.key)


def asked_with(host: Host) -> dict[str, int]:
    """How many requests each token spent, by the host's own count."""
    return {token: account.used for token, account in host.site.accounts.tokens.items()}


async def test_what_is_read_is_what_any_of_them_sees(host: Host, two: GitHubConnector, pay: Repository) -> None:
    """The union of their repositories, each read with the token that may."""
    host.fill(120)
    host.fill(130, where=pay)
    found = await two.discover()
    assert ({one.key for one in found.containers}, found.gaps) == ({"acme/web", "acme/pay"}, ())
    assert seen(await read(two, host.there)) == host.truth()
    assert len(seen(await read(two, place(pay)))) == 130


async def test_named_repositories_are_found_with_the_token_that_sees_them(host: Host, pay: Repository) -> None:
    """A 404 to one token is none before all have been asked; one that nobody sees is a gap."""
    host.site.accounts.add(FIRST, "acme/web")
    host.site.accounts.add(SECOND, "acme/pay")
    reader = host.connector(token="", tokens=(FIRST, SECOND), repositories=("acme/web", "acme/pay", "acme/gone"))
    found = await reader.discover()
    assert {one.key for one in found.containers} == {"acme/web", "acme/pay"}
    assert [gap.container for gap in found.gaps] == ["acme/gone"]
    await reader.close()


async def test_one_spent_budget_stops_nobody_else(host: Host) -> None:
    """The first token's hour is over after a few requests: the second goes on, and nothing is waited for."""
    host.site.accounts.add(FIRST, hourly=3)
    host.site.accounts.add(SECOND)
    host.fill(250)
    reader = host.connector(token="", tokens=(FIRST, SECOND))
    assert seen(await read(reader, host.there)) == host.truth()
    spent = asked_with(host)
    assert spent[FIRST] <= 8 and spent[SECOND] >= 3
    assert max(host.clock.slept, default=0) < 60
    await reader.close()


async def test_when_all_are_spent_the_earliest_is_waited_for(host: Host) -> None:
    """Nothing is lost, and nobody asks before the hour is over."""
    for token in (FIRST, SECOND):
        host.site.accounts.add(token, hourly=2)
    host.fill(250)
    reader = host.connector(token="", tokens=(FIRST, SECOND))
    with pytest.raises(Exception, match="asks us to wait"):
        await read(reader, host.there)
    assert all(spent <= 8 for spent in asked_with(host).values())
    await reader.close()


async def test_a_token_that_is_revoked_in_the_middle_is_set_aside(host: Host) -> None:
    """The pass goes on with the other one to its proven end; `check` says which is refused, and exits 4."""
    first = host.site.accounts.add(FIRST)
    host.site.accounts.add(SECOND)
    host.fill(450)
    reader = host.connector(token="", tokens=(FIRST, SECOND))

    def revoke(page: Page) -> None:
        first.revoked = first.revoked or bool(page.items)

    assert seen(await read(reader, host.there, on_page=revoke)) == host.truth()
    assert first.revoked
    checks = {one.name: one for one in await reader.check()}
    refused = checks["g: token 1 of 2"]
    assert (refused.ok, refused.exit_code) == (False, 4)
    assert "g: token 2 of 2" not in checks and checks["g: credential"].ok
    assert "canary" not in str(checks)
    await reader.close()


async def test_without_any_token_left_the_pass_ends(host: Host) -> None:
    """As with one token; the error names none of them, and a later pass tries all again."""
    accounts = [host.site.accounts.add(token) for token in (FIRST, SECOND, THIRD)]
    host.fill(250)
    reader = host.connector(token="", tokens=(FIRST, SECOND, THIRD))
    for account in accounts:
        account.revoked = True
    with pytest.raises(AuthenticationFailed) as refused:
        await read(reader, host.there)
    assert "canary" not in f"{refused.value}{refused.value.fix}"
    accounts[2].revoked = False
    assert seen(await read(reader, host.there)) == host.truth()
    await reader.close()


async def test_a_repository_that_no_token_sees_is_a_gap(host: Host) -> None:
    """Each was asked, and none is tried for ever."""
    for token in (FIRST, SECOND):
        host.site.accounts.add(token, "acme/other")
    host.fill(3)
    reader = host.connector(token="", tokens=(FIRST, SECOND))
    with pytest.raises(Skippable) as skipped:
        await read(reader, host.there)
    assert skipped.value.gap.container == "acme/web"
    assert sum(asked_with(host).values()) <= 6
    await reader.close()


async def test_polls_with_two_tokens_lose_nothing(host: Host) -> None:
    """ETags are each token's own: whichever asks, a change is seen."""
    for token in (FIRST, SECOND):
        host.site.accounts.add(token)
    host.fill(30)
    reader = host.connector(token="", tokens=(FIRST, SECOND))
    pages = await read(reader, host.there)
    state = seen(pages)
    for number in range(8):
        host.world.advance(host.world.now + timedelta(minutes=7))
        host.world.edit(host.repository.items[number], labels=("run", f"round {number}"))
        host.world.advance(host.world.now + timedelta(seconds=20))
        pages = await read(reader, host.there, bytes(pages[-1].checkpoint))
        state |= seen(pages)
        assert state == host.truth(), number
    await reader.close()
