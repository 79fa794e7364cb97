"""The strategy file: what it may say, and how it is told what it may not."""

import json
from datetime import date, timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.strategy import InvalidStrategy, StrategyFile, parse_strategy
from schemas.yaml_text import read_yaml

WHOLE = """
strategy:
  {id: acme, title: Acme technology strategy, vision: Anyone can open an account in a minute, sponsor: cto,
   review_every: 90d, effort: count}
calendar: {time_zone: Europe/Berlin, working_days: [mon, tue, wed, thu, fri], holidays: [2026-12-25]}
drivers: [{id: D1, kind: customer, statement: Sign-up takes too long}]
signals: [{id: S1, observed: 2026-09-01, statement: Instant KYC, decide_by: 2026-10-15, affects: [OBJ-1],
           watch: {label: kyc}}]
risks: [{id: R1, statement: Outages, likelihood: 3, impact: 4, affects: [OBJ-1],
         trigger: {match: {label: outage}, more_than: 5, within: 14d}, response: INI-2, owner: ada}]
stakeholders: [{id: sales, wants: [signup-time], channel: sales-chat, every: 30d}]
objectives:
  - {id: OBJ-1, title: Customers onboard themselves, parent: null, owner: ada, side: business, pair: OBJ-2, rank: 1,
     weight: 3, share: 0.40, horizon: {start: 2026-01-01, end: 2028-12-31}, drivers: [D1],
     measures: [{id: signup-time, kind: customer, unit: minutes, baseline: 30, target: 1, due: 2027-06-30}],
     match: {label: "objective:OBJ-1"}}
  - {id: OBJ-2, side: it, pair: OBJ-1}
run: {share: 0.20, match: {any: [{type: Incident}, {label: run}]}}
reserves: [{id: security, share_min: 0.10, match: {label: security}}]
plan: {title: 2026 second half, review_every: 30d}
initiatives:
  - {id: INI-1, title: Sign-up in one minute, serves: {OBJ-1: 0.7, OBJ-2: 0.3}, owner: ada, team: growth,
     start: 2026-07-01, due: 2026-12-15, budget: {amount: 120000, currency: EUR, rate_per_hour: 95},
     depends_on: [INI-2],
     responsibilities: {responsible: [ben], accountable: ada, consulted: [legal], informed: [sales]},
     milestones: [{id: beta, due: 2026-09-30, decisive: true, match: {milestone: beta}}],
     match: {any: [{ancestor: PAY-1}, {project: acme/web, milestone: Signup v2}]}}
  - {id: INI-2, serves: {OBJ-2: 1}}
teams: [{id: growth, title: Growth, time_zone: Europe/Berlin, channels: [growth-chat]}]
pins: [{item: "acme-jira:PAY-17", to: INI-1, by: ada, why: mislabelled epic, until: 2026-12-31}]
"""


def problems(text: str, **options: Any) -> list[str]:
    """Every problem of a text, as lines without the file's name."""
    with pytest.raises(InvalidStrategy) as caught:
        parse_strategy(text, file="strategy.yaml", **options)
    assert all(line.startswith("strategy.yaml: ") for line in caught.value.lines())
    return [line.removeprefix("strategy.yaml: ") for line in caught.value.lines()]


def test_a_whole_file_is_read() -> None:
    """Every key that the documentation names is understood."""
    file = parse_strategy(WHOLE, file="strategy.yaml", channels={"sales-chat", "growth-chat"})
    assert file.strategy.review_every == timedelta(days=90)
    assert file.calendar.holidays == (date(2026, 12, 25),)
    assert file.objectives[0].due == date(2028, 12, 31)
    assert file.objectives[1].title == "OBJ-2"
    assert file.initiatives[0].serves == {"OBJ-1": 0.7, "OBJ-2": 0.3}
    assert file.pins[0].until == date(2026, 12, 31)
    assert file.sections[:3] == ("strategy", "calendar", "drivers")


def test_sections_may_be_absent_or_empty() -> None:
    """A file with one objective is enough; a key without a value counts as absent."""
    file = parse_strategy("objectives: [{id: A}]\nteams:\ncalendar:\n", file="s.yaml")
    assert (file.teams, file.calendar.time_zone, file.strategy.effort) == ((), "UTC", "count")


def test_the_schema_accepts_what_the_parser_accepts() -> None:
    """The JSON Schema for editors is valid and holds for the whole file."""
    schema = StrategyFile.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    data, _ = read_yaml(WHOLE)
    jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"objectives": [{"id": "A", "titel": "x"}]}, schema)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("objektives: []", "objektives: unknown key; did you mean `objectives`?"),
        ("objectives: [{id: A, titel: x}]", "objectives[0].titel: unknown key; did you mean `title`?"),
        ("objectives: [{id: A, match: {lable: x}}]", "objectives[0].match.lable: unknown key; did you mean `label`?"),
        ("objectives: [{id: A, zzz: x}]", "objectives[0].zzz: unknown key; known here: drivers, horizon, id, match"),
        ("objectives: {id: A}", "objectives: must be a list"),
        ("objectives: [A]", "objectives[0]: must be a mapping of keys to values"),
        ("objectives: [{title: A}]", "objectives[0].id: is required"),
        ("objectives: [{id: 7}]", "objectives[0].id: must be text; put it in quotes"),
        ("objectives: [{id: 'a b'}]", "objectives[0].id: must be letters, digits and"),
        ("objectives: [{id: A, share: 1.2}]", "objectives[0].share: must be at most 1"),
        ("objectives: [{id: A, share: yes}]", "objectives[0].share: must be a number"),
        ("objectives: [{id: A, share: true}]", "objectives[0].share: must be a number"),
        ("objectives: [{id: A, share: .nan}]", "objectives[0].share: must be a finite number"),
        ("objectives: [{id: A, weight: 0}]", "objectives[0].weight: must be more than 0"),
        ("objectives: [{id: A, side: left}]", "objectives[0].side: must be one of 'business' or 'it'"),
        ("objectives: [{id: A, horizon: {end: 2026-02-30}}]", "objectives[0].horizon.end: is no day of the calendar"),
        (
            "objectives: [{id: A, horizon: {end: 2026-02-03T10:00:00Z}}]",
            "objectives[0].horizon.end: must be a plain day such as 2026-12-31, without a time",
        ),
        ("strategy: {review_every: 90}", "strategy.review_every: must be a number of days or weeks, such as 90d or 2w"),
        ("strategy: {effort: hours}", "strategy.effort: must be one of 'count', 'points' or 'time'"),
        ("calendar: {time_zone: Europe/Berlim}", "calendar.time_zone: is no time zone of the IANA database"),
        ("calendar: {time_zone: ../../etc/passwd}", "calendar.time_zone: is no time zone of the IANA database"),
        ("calendar: {time_zone: Europe}", "calendar.time_zone: is no time zone of the IANA database"),
        ("calendar: {working_days: []}", "calendar.working_days: must not be empty"),
        ("teams: [{id: t, time_zone: Mars/Base}]", "teams[0].time_zone: is no time zone of the IANA database"),
        ("initiatives: [{id: I}]", "initiatives[0].serves: is required"),
        ("initiatives: [{id: I, serves: {}}]", "initiatives[0].serves: must not be empty"),
        ("pins: [{to: run}]", "pins[0].item: is required"),
        ("pins: [{item: PAY-1, to: nowhere}]", "pins[0].to: there is no objective or initiative"),
    ],
)
def test_a_wrong_shape_is_named_with_its_key(text: str, expected: str) -> None:
    """A misspelt key, a wrong type or a value out of range is told with the path of its key."""
    (line,) = problems(text)
    assert line.startswith(expected)


TWO = "objectives: [{id: OBJ-1}, {id: OBJ-2}]\nteams: [{id: growth}]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "initiatives: [{id: I, serves: {OBJ-9: 1}}]",
            "initiatives[0].serves.OBJ-9: there is no objective `OBJ-9`; did you mean `OBJ-",
        ),
        ("initiatives: [{id: I, serves: {OBJ-1: 0.7, OBJ-2: 0.4}}]", "initiatives[0].serves: the shares sum to 1.1"),
        ("initiatives: [{id: I, serves: {OBJ-1: 1}, team: sales}]", "initiatives[0].team: there is no team `sales`"),
        (
            "initiatives: [{id: I, serves: {OBJ-1: 1}, start: 2026-03-01, due: 2026-02-28}]",
            "initiatives[0].due: 2026-02-28 is before the start, 2026-03-01",
        ),
        (
            "initiatives: [{id: I, serves: {OBJ-1: 1}, start: 2026-03-01, due: 2027-03-02}]",
            "initiatives[0].due: 2027-03-02 is more than 12 months after the start, 2026-03-01; split the initiative",
        ),
        (
            "initiatives: [{id: I, serves: {OBJ-1: 1}, depends_on: [J]}]",
            "initiatives[0].depends_on[0]: there is no initiative `J`",
        ),
        ("initiatives: [{id: OBJ-1, serves: {OBJ-2: 1}}]", "initiatives[0].id: `OBJ-1` is an objective already"),
        ("initiatives: [{id: run, serves: {OBJ-2: 1}}]", "initiatives[0].id: `run` is reserved"),
        ("initiatives: [{id: none, serves: {OBJ-2: 1}}]", "initiatives[0].id: `none` is reserved"),
        ("signals: [{id: S, statement: x, affects: [OBJ-3]}]", "signals[0].affects[0]: there is no objective or init"),
        ("risks: [{id: R, statement: x, response: I}]", "risks[0].response: there is no objective or initiative `I`"),
        ("stakeholders: [{id: s, wants: [speed]}]", "stakeholders[0].wants[0]: there is no measure `speed`"),
        ("drivers: [{id: D, kind: market, statement: x}, {id: D, kind: market, statement: y}]", "drivers[1].id: `D`"),
        ("run: {share: 1.5}", "run.share: must be at most 1"),
    ],
)
def test_a_contradiction_is_named_with_its_key(text: str, expected: str) -> None:
    """A missing reference, a doubled id or an impossible sum or date is told with the path of its key."""
    (line,) = problems(TWO + text)
    assert line.startswith(expected)


def test_shares_of_the_top_objectives_and_run_sum_to_at_most_one() -> None:
    """Intended shares over 1 are refused; what children intend is part of what their parent does."""
    assert problems("objectives: [{id: A, share: 0.6}, {id: B, share: 0.3}]\nrun: {share: 0.2}") == [
        "objectives: the shares of objectives and run sum to 1.1, more than 1"
    ]
    parse_strategy("objectives: [{id: A, share: 0.8}, {id: B, parent: A, share: 0.8}]\nrun: {share: 0.2}", file="s")


def test_decimal_shares_may_sum_to_exactly_one() -> None:
    """Ten tenths are one, although their sum in binary is a little off."""
    serves = ", ".join(f"O{i}: 0.1" for i in range(10))
    objectives = ", ".join(f"{{id: O{i}, share: 0.1}}" for i in range(10))
    parse_strategy(f"objectives: [{objectives}]\ninitiatives: [{{id: I, serves: {{{serves}}}}}]", file="s")


def test_twelve_months_are_allowed_to_the_day() -> None:
    """An initiative may end on the day a year after its start, a leap day included."""
    for start, due in (("2026-03-01", "2027-03-01"), ("2024-02-29", "2025-03-01")):
        parse_strategy(TWO + f"initiatives: [{{id: I, serves: {{OBJ-1: 1}}, start: {start}, due: {due}}}]", file="s")


def test_circles_are_named_once_each() -> None:
    """A circle among parents or dependencies is told with its members in order."""
    assert problems("objectives: [{id: A, parent: B}, {id: B, parent: C}, {id: C, parent: A}, {id: D, parent: A}]") == [
        "objectives[0].parent: goes round in a circle: A → B → C → A"
    ]
    text = "initiatives: [{id: I, serves: {OBJ-1: 1}, depends_on: [I]}]"
    assert problems(TWO + text) == ["initiatives[0].depends_on: goes round in a circle: I → I"]


def test_a_chain_of_many_parents_is_no_circle() -> None:
    """Twenty thousand nested objectives are read, however deep they go."""
    rows = "".join(f"- {{id: O{i}, parent: O{i + 1}}}\n" for i in range(5_000))
    assert len(parse_strategy(f"objectives:\n{rows}- {{id: O5000}}\n", file="s").objectives) == 5_001


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("{}", ": is empty, and would hold for everything"),
        ("{not: {label: x}}", ": needs a key beside `not`"),
        ("{label: y, any: [{not: {label: x}}]}", ".any[0]: needs a key beside `not`"),
        ("{label: y, any: [{}]}", ".any[0]: is empty"),
        ("{label: y, not: {}}", ".not: is empty"),
        ("{any: []}", ".any: must not be empty"),
        ("{any: {label: x}}", ".any: must be a list"),
        ("{any: }", ".any: has no value"),
        ("{label: y, not: }", ".not: has no value"),
        ("{label: }", ".label: has no value"),
        ("{label: []}", ".label: is an empty list"),
        ("{label: 2026}", ".label: must be text"),
        ("{label: ''}", ".label: must not be empty text"),
        ("{kind: epic}", ".kind: must be 'issue' or 'pull_request'"),
        ("{field: Goal}", ".field: must name a field and its value"),
        ("{field: {Goal: null}}", ".field: Goal has no value"),
        ("{field: {Goal: {a: b}}}", ".field: Goal must be text, a number"),
        ("{when: 'item.'}", ".when: is not valid CEL"),
        ("{when: 'true'}", ".when: must look at `item`"),
    ],
)
def test_a_match_that_says_nothing_is_refused(match: str, expected: str) -> None:
    """An empty match, one of `not` alone, and a key without a value are refused, in branches too."""
    (line,) = problems(f"objectives: [{{id: A, match: {match}}}]")
    assert line.startswith(f"objectives[0].match{expected}")


def test_every_problem_is_told_at_once() -> None:
    """Text, shape and contradictions are all found in one reading, also beside a broken part."""
    found = problems(
        "objectives:\n"
        "  - {id: A, titel: x, weight: 0}\n"
        "  - {id: A, title: y, title: z}\n"
        "initiatives:\n"
        "  - {id: I}\n"
        "  - {id: J, serves: {B: 0.5, A: 0.6}, color: red, team: t, depends_on: [I, K]}\n"
    )
    assert {line.split(": ")[0] for line in found} == {
        "objectives[1].title",
        "objectives[0].titel",
        "objectives[0].weight",
        "objectives[1].id",
        "initiatives[0].serves",
        "initiatives[1].serves.B",
        "initiatives[1].serves",
        "initiatives[1].color",
        "initiatives[1].team",
        "initiatives[1].depends_on[1]",
    }


def test_channels_are_looked_at_only_where_they_are_known() -> None:
    """A team's channel must be configured, once the configuration is at hand."""
    text = "teams: [{id: growth, channels: [growth-chad]}]"
    parse_strategy(text, file="s")
    assert problems(text, channels=["growth-chat"]) == [
        "teams[0].channels[0]: the configuration has no channel `growth-chad`; did you mean `growth-chat`?"
    ]


def test_ids_compare_after_unicode_normalisation() -> None:
    """An id written with a combining accent is the same id."""
    file = parse_strategy("objectives: [{id: Caf\u00e9}]\npins: [{item: X-1, to: Cafe\u0301}]", file="s")
    assert file.pins[0].to == file.objectives[0].id


def test_no_problem_repeats_a_value() -> None:
    """What stands in the wrong place may be a secret, and is never shown."""
    text = "calendar: {time_zone: hunter2, working_days: [hunter2]}\nstrategy: {effort: hunter2}\n"
    assert not any("hunter2" in line for line in problems(text))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["A", "run", "2026-01-01", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*StrategyFile.model_fields, "id", "match", "any", "not", "label", "serves", "x", "parent"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=200)
@given(_VALUES)
def test_whatever_is_written_the_answer_is_a_strategy_or_problems(value: object) -> None:
    """No shape of data raises anything but InvalidStrategy."""
    try:
        parse_strategy(json.dumps(value), file="s")
    except InvalidStrategy as invalid:
        assert invalid.problems  # noqa: PT017 – either outcome is right
