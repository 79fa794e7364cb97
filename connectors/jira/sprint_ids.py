"""Pure: which sprints an issue is in, and was in, as its fields and its changelog say."""

import re
from collections.abc import Mapping
from typing import Any

#: A field of this kind holds an issue's sprints.
FIELD = "com.pyxis.greenhopper.jira:gh-sprint"
#: What a Data Center says in a text: ``…Sprint@1bf7[id=1,rapidViewId=2,…,name=a,b=c]``; the name may hold anything.
_IN_TEXT = re.compile(r"\[id=([0-9]{1,18})[,\]]")


def ids_in(value: Any) -> list[str]:
    """The ids of the sprints in an issue's field: objects on Cloud, texts on a Data Center."""
    found: list[str] = []
    for one in value if isinstance(value, list) else ():
        if isinstance(one, Mapping):
            found += [str(one["id"])] if str(one.get("id", "")).isdigit() else []
        elif isinstance(one, str) and (matched := _IN_TEXT.search(one)):
            found.append(matched[1])
    return found


def ids_of_change(text: Any) -> set[str]:
    """The ids that one side of a change in a changelog names: ``12, 13``."""
    return {part for part in re.split(r"[,\s]+", text) if part.isdigit()} if isinstance(text, str) else set()
