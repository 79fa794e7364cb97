"""What no tracker says is never taken for an answer: it is asked again, within bounds, and then a typed error."""

import gzip
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connectors import answers
from connectors.base import AuthenticationFailed, Unreachable
from connectors.github.sync import GitHubConnector
from services.simulator.faults import Fault
from services.simulator.vendor_faults import empty_body, login_page, login_redirect, server_error
from tests.connectors.github.conftest import EVENTS, ISSUES, Host, read, seen

ONCE: dict[str, Callable[[str], Fault]] = {
    "empty body": lambda when: empty_body(when),
    "null": lambda when: empty_body(when, b"null"),
    "object for a list": lambda when: empty_body(when, b"{}"),
    "message for a list": lambda when: empty_body(when, b'{"message": "Server Error"}'),
    "list of texts": lambda when: empty_body(when, b'["a", "b"]'),
    "deep nesting": lambda when: empty_body(when, b"[" * 200_000),
    "not UTF-8": lambda when: empty_body(when, b'[{"id": 1, "title": "\xff"}]'),
    "a number out of range": lambda when: empty_body(when, b'[{"id": 1e999}]'),
    "truncated JSON": lambda when: Fault(when=when, kind="truncated"),
    "cut in mid-body": lambda when: Fault(when=when, kind="cut"),
    "chunked without an end": lambda when: Fault(when=when, kind="chunked_cut"),
    "reset": lambda when: Fault(when=when, kind="reset"),
    "500": lambda when: server_error(when, 500),
    "502 in HTML": lambda when: server_error(when, 502),
    "202": lambda when: Fault(when=when, kind="answer", status=202, body=b"[]"),
    "304 unasked": lambda when: Fault(when=when, kind="answer", status=304),
    "206 with a part": lambda when: Fault(when=when, kind="answer", status=206, body=b"[]"),
}


@pytest.mark.parametrize("what", ONCE)
async def test_a_broken_answer_is_asked_for_again(host: Host, connector: GitHubConnector, what: str) -> None:
    """Once on the second page of issues and once on that of events: the set is whole and nothing comes twice."""
    host.fill(250)
    for when in (r"/issues\?.*since=", rf"{EVENTS}.*page=2"):
        host.faults.add(ONCE[what](when))
    pages = await read(connector, host.there)
    assert seen(pages) == host.truth()
    assert sum(len(page.items) for page in pages) == 250
    assert sum(1 for one in host.faults.asked if one.fault is not None) == 2


@pytest.mark.parametrize("what", [what for what in ONCE if what != "reset"])
async def test_a_lasting_fault_ends_in_a_typed_error(host: Host, connector: GitHubConnector, what: str) -> None:
    """Six tries with pauses, then Unreachable with the source's name; no page is complete."""
    host.fill(3)
    host.faults.add(replace(ONCE[what](ISSUES), times=None))
    pages: list[Any] = []
    with pytest.raises(Unreachable, match=r"^g: .*tried 6 times"):
        await read(connector, host.there, on_page=pages.append)
    assert host.faults.count(ISSUES) == 6
    assert not any(page.complete or page.items for page in pages)
    assert len(host.clock.slept) >= 5


@pytest.mark.parametrize("fault", [login_page(ISSUES), login_redirect(ISSUES)], ids=["200", "302"])
async def test_a_login_page_is_an_error_of_the_credential(host: Host, connector: GitHubConnector, fault: Fault) -> None:
    """HTML to log in, or a way there, ends the pass at once and completes nothing."""
    host.faults.add(fault)
    with pytest.raises(AuthenticationFailed, match=r"^g: "):
        await read(connector, host.there)
    assert host.faults.count(r"login") == 0


async def test_an_object_that_breaks_off_is_asked_for_again(host: Host, connector: GitHubConnector) -> None:
    """Not lists alone: the repository itself, too."""
    host.faults.add(Fault(when=r"/repos/acme/web", kind="truncated"), empty_body(r"/meta"))
    assert [one.key for one in (await connector.discover()).containers] == ["acme/web"]


async def test_half_a_surrogate_pair_hides_no_page(host: Host, connector: GitHubConnector) -> None:
    """JSON that is no text in one title is read all the same."""
    host.fill(3)
    title = host.repository.items[1]
    title.title = "MARK"

    raw: list[Any] = []

    def copied(rows: Any) -> Any:
        raw.append(rows)
        return rows

    host.faults.add(Fault(when=ISSUES, kind="rewrite", times=1, change=copied))
    await read(connector, host.there)
    host.faults.add(empty_body(ISSUES, json.dumps(raw[0]).replace("MARK", "a\\ud800b").encode()))
    pages = await read(connector, host.there)
    assert seen(pages) == host.truth()
    assert "a?b" in {one.title for page in pages for one in page.items}


@pytest.mark.parametrize("status", [200, 302])
@pytest.mark.parametrize("packed", [False, True])
async def test_no_answer_is_larger_than_we_allow(
    host: Host, connector: GitHubConnector, monkeypatch: pytest.MonkeyPatch, status: int, packed: bool
) -> None:
    """An oversized body, also one that unpacks to it and one beside a redirect, is refused at the bound."""
    monkeypatch.setattr(answers, "LARGEST_ANSWER", 1024 * 1024)
    body = b"[" + b" " * 8 * 1024 * 1024 + b"]"
    headers = {"content-type": "application/json", "location": "/repositories/1"}
    if packed:
        body, headers = gzip.compress(body), headers | {"content-encoding": "gzip"}
    host.faults.add(Fault(when=ISSUES, kind="answer", status=status, headers=headers, body=body, times=None))
    with pytest.raises(Unreachable, match="more than 1 MB was refused"):
        await read(connector, host.there)
    assert host.faults.count(ISSUES) == 1


async def test_an_answer_that_drips_is_left_at_the_deadline(
    host: Host, connector: GitHubConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then keeps no lane for ever; the page is asked for again, and the loop goes on meanwhile."""
    monkeypatch.setattr(answers, "DEADLINE_S", 0.15)
    host.fill(3)
    host.faults.add(Fault(when=ISSUES, kind="drip", seconds=0.01, size=100_000))
    before = threading.active_count()
    assert seen(await read(connector, host.there)) == host.truth()
    assert host.faults.count(ISSUES) >= 2
    assert threading.active_count() - before < 8


async def test_malformed_rows_are_quarantined_and_the_rest_is_read(host: Host, connector: GitHubConnector) -> None:
    """A row that is null, one without an id, one of text and one without a state: kept aside, one by one."""
    host.fill(120)

    def spoiled(rows: list[Any]) -> list[Any]:
        if len(rows) < 10:
            return rows
        rows[3], rows[5] = None, "x"
        rows[7] = {name: value for name, value in rows[7].items() if name != "id"}
        rows[8] = rows[8] | {"state": None}
        return rows

    host.faults.add(Fault(when=ISSUES, kind="rewrite", times=1, change=spoiled))
    pages = await read(connector, host.there)
    aside = [one for page in pages for one in page.quarantined]
    assert len(aside) == 4
    assert all(one.problem and one.container == "acme/web" for one in aside)
    assert len(seen(pages)) == 120 - 4
    assert pages[-1].complete


async def test_rows_of_the_wrong_types_among_events_are_passed_over(host: Host, connector: GitHubConnector) -> None:
    """Events that are null, without an issue, or of odd types change nothing for the others."""
    host.fill(60)
    odd = [None, {"id": 1}, {"id": "x", "event": 5, "issue": 7}, {"id": 2, "event": "labeled", "issue": {"id": []}}]
    host.faults.add(Fault(when=EVENTS, kind="rewrite", times=None, change=lambda rows: [*odd, *rows]))
    pages = await read(connector, host.there)
    assert seen(pages) == host.truth()
    assert all(one.history for page in pages for one in page.items)


async def test_an_answer_is_never_json_by_chance() -> None:
    """The message of an error is short, of one line, and never a page of HTML."""
    answer = answers.Answer(400, {"content-type": "application/json"}, json.dumps({"message": "a\n" * 999}).encode())
    assert len(answer.message()) <= 200 and "\n" not in answer.message()
    assert answers.Answer(502, {"content-type": "text/html"}, b"<html>secret").message() == "a page of HTML"
    assert answers.Answer(400, {}, b"[" * 200_000).message()
