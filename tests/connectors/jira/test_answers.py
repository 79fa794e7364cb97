"""What no Jira says is never taken for an answer: it is asked again, within bounds, and then a typed error."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors import answers
from connectors.base import AuthenticationFailed, Unreachable
from connectors.jira.sync import JiraConnector
from services.simulator.faults import Asked, Fault
from services.simulator.vendor_faults import empty_body, login_page, login_redirect, server_error
from tests.connectors.jira.conftest import COUNT, HISTORY, Site, page_of_issues, read, seen

When = str | Callable[[Asked], bool]
ONCE: dict[str, Fault] = {
    "empty body": empty_body(""),
    "null": empty_body("", b"null"),
    "list for an object": empty_body("", b"[]"),
    "deep nesting": empty_body("", b"[" * 200_000),
    "not UTF-8": empty_body("", b'{"issues": [{"id": "\xff"}]}'),
    "truncated JSON": Fault(when="", kind="truncated"),
    "cut in mid-body": Fault(when="", kind="cut"),
    "chunked without an end": Fault(when="", kind="chunked_cut"),
    "reset": Fault(when="", kind="reset"),
    "500": server_error("", 500),
    "502 in HTML": server_error("", 502),
    "202": Fault(when="", kind="answer", status=202, body=b"{}"),
    "304 unasked": Fault(when="", kind="answer", status=304),
    "206 with a part": Fault(when="", kind="answer", status=206, body=b"{}"),
}


@pytest.mark.parametrize("what", ONCE)
async def test_a_broken_answer_is_asked_for_again(site: Site, connector: JiraConnector, what: str) -> None:
    """Once for a page of issues and once for their histories: the set is whole and nothing comes twice."""
    site.fill(250)
    for when in (page_of_issues, HISTORY):
        site.faults.add(replace(ONCE[what], when=when, skip=1))
    pages = await read(connector, site.there)
    assert seen(pages) == site.truth()
    assert sum(len(page.items) for page in pages) == 250
    assert sum(1 for one in site.faults.asked if one.fault is not None) == 2


@pytest.mark.parametrize("what", [what for what in ONCE if what != "reset"])
async def test_a_lasting_fault_ends_in_a_typed_error(site: Site, connector: JiraConnector, what: str) -> None:
    """Six tries with pauses, then Unreachable with the source's name; no page is complete."""
    site.fill(3)
    site.faults.add(replace(ONCE[what], when=page_of_issues, times=None))
    pages: list[Any] = []
    with pytest.raises(Unreachable, match=r"^j: .*tried 6 times"):
        await read(connector, site.there, on_page=pages.append)
    assert sum(page_of_issues(one) for one in site.faults.asked) == 6
    assert not any(page.complete or page.items for page in pages)
    assert len(site.clock.slept) >= 5


@pytest.mark.parametrize("body", [b"{}", b'{"issues": null}', b'{"issues": {}}', b'{"errorMessages": ["sorry"]}'])
@pytest.mark.parametrize("when", [page_of_issues, HISTORY], ids=["issues", "histories"])
async def test_an_envelope_without_its_list_ends_the_pass(
    site: Site, connector: JiraConnector, when: When, body: bytes
) -> None:
    """An object that is no page is never an empty page."""
    site.fill(3)
    site.faults.add(replace(empty_body("", body, times=None), when=when))
    with pytest.raises(Unreachable, match=r"^j: a page of .* has no list"):
        await read(connector, site.there)


@pytest.mark.parametrize("said", [None, "12", True, -1, 1.5, [], {}])
async def test_a_count_that_is_no_number_proves_nothing(site: Site, connector: JiraConnector, said: object) -> None:
    """Completeness is proven against a number, or not at all."""
    site.fill(3)
    site.faults.add(Fault(when=COUNT, kind="rewrite", times=None, change=lambda data: {"count": said}))
    with pytest.raises(Unreachable, match="a count of issues says no count"):
        await read(connector, site.there)


@pytest.mark.parametrize("fault", [login_page(""), login_redirect("")], ids=["200", "302"])
async def test_a_login_page_is_an_error_of_the_credential(site: Site, connector: JiraConnector, fault: Fault) -> None:
    """HTML to log in, or a way there, ends the pass at once and completes nothing."""
    site.faults.add(replace(fault, when=page_of_issues))
    with pytest.raises(AuthenticationFailed, match=r"^j: "):
        await read(connector, site.there)


async def test_an_answer_without_bounds_is_refused(
    site: Site, connector: JiraConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than any page holds is not read into memory."""
    monkeypatch.setattr(answers, "LARGEST_ANSWER", 100_000)
    site.fill(1)
    site.faults.add(replace(empty_body("", b" " * 200_000), when=page_of_issues))
    with pytest.raises(Unreachable, match="was refused"):
        await read(connector, site.there)


@pytest.mark.parametrize("row", [None, 7, "x", [], {}, {"id": None}, {"id": "77"}, {"id": "78", "fields": []}])
async def test_a_malformed_row_is_quarantined_in_backfill_and_poll(
    site: Site, connector: JiraConnector, row: object
) -> None:
    """The others of its page are read, and it is kept with its raw form and reason."""
    site.fill(5)

    def with_a_stranger(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"issues": [*data["issues"], row]}

    site.faults.add(Fault(when=page_of_issues, kind="rewrite", times=None, change=with_a_stranger))
    first = await read(connector, site.there)
    assert seen(first) == site.truth()
    assert sum(len(page.quarantined) for page in first) == 1
    site.world.advance(site.world.now + timedelta(minutes=1))
    site.world.touch(site.project.items[0])
    second = await read(connector, site.there, bytes(first[-1].checkpoint))
    assert seen(first) | seen(second) == site.truth()
    assert sum(len(page.quarantined) for page in second) == 1
