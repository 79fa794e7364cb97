"""What a look at a tracker changes about what we know."""

from schemas.work import Link
from services.ingest.observe import changed_fields, fingerprint, gone, observed
from tests.work_items import a_change, an_item, at


def test_a_first_look_is_taken_as_it_is() -> None:
    """Before it we knew nothing, so nothing can have changed."""
    item = an_item(1)
    assert observed(None, item, 1) == item
    assert changed_fields(None, item) == ()


def test_a_later_look_at_the_same_state_has_the_same_fingerprint() -> None:
    """A comment moves ``updated_at`` and nothing that matters to us."""
    assert fingerprint(an_item(1)) == fingerprint(an_item(1, updated_at=at("2026-05-01")))
    assert fingerprint(an_item(1)) != fingerprint(an_item(1, labels=("growth",)))


def test_a_change_without_history_is_dated_by_when_the_item_was_updated() -> None:
    """GitHub keeps no history of a custom field; we keep what we saw."""
    after = observed(an_item(1, team="a"), an_item(1, team="b", updated_at=at("2026-04-01")), 2)
    (change,) = after.history
    assert (change.field, change.before, change.after, change.at) == ("team", "a", "b", at("2026-04-01"))
    assert change.origin == "inferred"


def test_a_change_that_the_trackers_history_tells_is_not_told_twice() -> None:
    """The tracker's own dating is better than ours."""
    told = a_change("labels", "2026-03-30", [], ["growth"])
    seen = an_item(1, labels=("growth",), history=(told,), updated_at=at("2026-04-01"))
    assert observed(an_item(1), seen, 2).history == (told,)


def test_what_only_we_know_survives_later_looks() -> None:
    """Transitions that we saw stay when the tracker answers again without them."""
    second = observed(an_item(1, team="a"), an_item(1, team="b", updated_at=at("2026-04-01")), 2)
    third = observed(second, an_item(1, team="b", labels=("x",), updated_at=at("2026-05-01")), 3)
    assert [(change.field, change.at) for change in third.history] == [
        ("team", at("2026-04-01")),
        ("labels", at("2026-05-01")),
    ]


def test_a_former_key_is_kept() -> None:
    """A moved item is found by the key it once had."""
    after = observed(an_item(1, key="PAY-1"), an_item(1, key="WEB-9", container="WEB"), 2)
    assert after.previous_keys == ("PAY-1",)
    assert "key" in changed_fields(an_item(1, key="PAY-1"), after)


def test_an_item_that_left_keeps_its_state_and_gains_a_date() -> None:
    """What it was before it was deleted stays known."""
    after = gone(an_item(1, labels=("growth",)), "deleted", at("2026-06-01"), 2)
    assert (after.labels, after.availability) == (("growth",), "deleted")
    assert after.history[-1].at == at("2026-06-01")


def test_links_that_cannot_be_told_stay_as_they_were() -> None:
    """A connector that cannot ask for them now takes none away; where nothing is known there are none."""
    link = Link(id="1", kind="blocks", to="acme-jira:issue:2")
    before, unknown = an_item(1, links=(link,)), an_item(1, links=None, title="Changed")
    assert observed(before, unknown, 2).links == (link,)
    assert observed(None, unknown, 1).links == ()
    assert observed(before, an_item(1), 2).links == ()
