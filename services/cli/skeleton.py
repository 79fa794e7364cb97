"""Pure: the first courseline.yaml, strategy.yaml and .env.example, with comments that lead on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

_EXAMPLES = """\
#  - {name: acme-jira, kind: jira, url: https://acme.atlassian.net, email: bot@acme.example,
#     token_file: secrets/jira, projects: [PAY, WEB]}        # Jira Data Center: leave out the email
#  - {name: acme-github, kind: github, token_file: secrets/github, repositories: [acme/web]}
"""


@dataclass(frozen=True)
class JiraAnswers:
    """Where a Jira site is, and which projects to read (none named: all that are visible)."""

    url: str
    email: str | None
    projects: Sequence[str]


@dataclass(frozen=True)
class GitHubAnswers:
    """Which repositories to read, and where the API is."""

    url: str
    repositories: Sequence[str]


def _quoted(text: str) -> str:
    """A value of YAML, whatever it holds: JSON's strings are YAML's."""
    return json.dumps(text)


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(map(_quoted, texts)) + "]"


def config_text(jira: JiraAnswers | None, github: GitHubAnswers | None) -> str:
    """courseline.yaml."""
    sources = ""
    if jira is not None:
        email = f", email: {_quoted(jira.email)}" if jira.email else ""
        projects = f",\n     projects: {_list(jira.projects)}" if jira.projects else ""
        sources += (
            f"  - {{name: jira, kind: jira, url: {_quoted(jira.url)}{email}, token_file: secrets/jira{projects}}}\n"
        )
    if github is not None:
        sources += (
            f"  - {{name: github, kind: github, url: {_quoted(github.url)}, token_file: secrets/github,\n"
            f"     repositories: {_list(github.repositories)}}}\n"
        )
    return f"""\
# What Courseline reads, where it keeps it, whom it tells. `courseline config schema` describes every key.
# Secrets stand in files (…_file), never here. A variable COURSELINE_… overrides a key; __ nests.
strategy: strategy.yaml
database: sqlite:///courseline.db        # or postgresql://user@host/db
stream: embedded                         # or kafka
http: {{host: 127.0.0.1, port: 8600}}      # beyond loopback it needs tokens_file: a token on each line

# The trackers. A token needs to read only.
{"sources:" if sources else "sources: []  # put yours here, without the #:"}
{sources or _EXAMPLES}
# Who is told of drift: slack and webhook (with url_file), or the log.
alerts:
  channels:
    - {{name: operators, kind: log}}
"""


def strategy_text(today: date) -> str:
    """strategy.yaml: one objective and one initiative around a day, to be replaced by one's own."""
    due = today + timedelta(days=180)
    return f"""\
# What you want, what you do for it, and which work serves it. `courseline plan` shows what a change would do.
strategy: {{id: strategy, title: Our strategy, vision: Where we want to be in three years, effort: count}}
calendar: {{time_zone: UTC, working_days: [mon, tue, wed, thu, fri]}}

# Objectives last years. A match names the work that serves it directly.
objectives:
  - {{id: OBJ-1, title: Our first objective, horizon: {{start: {today.year}-01-01, end: {today.year + 2}-12-31}},
     match: {{label: "objective:OBJ-1"}}}}

# Work that keeps things going is legitimate; what is neither this nor serves a node is unaligned.
run: {{match: {{any: [{{type: Incident}}, {{label: run}}]}}}}

# Initiatives last 12 months at most. `ancestor` is an epic with all below it; also: project, milestone, component.
initiatives:
  - {{id: INI-1, title: Our first initiative, serves: {{OBJ-1: 1.0}}, start: {today}, due: {due},
     match: {{label: "initiative:INI-1"}}}}
"""


ENVIRONMENT = """\
# Every key of courseline.yaml may come from a variable; __ nests, a number counts in a list.
# COURSELINE_CONFIG=courseline.yaml
# COURSELINE_LOG_LEVEL=info
# COURSELINE_DATABASE=postgresql://user@host/db
# COURSELINE_HTTP__PORT=8600
# COURSELINE_SOURCES__0__TOKEN=
"""
