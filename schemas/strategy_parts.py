"""The parts of a strategy file whose shape is right, so that one wrong key hides no other problem."""

from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize

from pydantic import ValidationError

from schemas.problems import Location, Problem, location_of, problems_of
from schemas.strategy_file import StrategyFile

#: What is taken out can leave a part incomplete, which the next round takes out; no part lies deeper.
_ROUNDS = 12


@dataclass(frozen=True)
class Sound:
    """A file without its misshapen parts, where each part stood, and all ids that the text gives."""

    file: StrategyFile
    places: dict[str, list[int]] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)

    def path(self, section: str, index: int) -> str:
        """Where in the text the part stood: ``initiatives[2]``."""
        return f"{section}[{self.places[section][index]}]"


def sound_parts(data: dict[str, Any]) -> tuple[Sound, list[Problem]]:
    """The file without what has the wrong shape, and a problem for each thing that has."""
    problems: list[Problem] = []
    places = {name: list(range(len(value))) for name, value in data.items() if isinstance(value, list)}
    rest: Any = data
    for _ in range(_ROUNDS):
        try:
            return Sound(StrategyFile.model_validate(rest), places, _ids(data)), problems
        except ValidationError as error:
            if rest is data:
                problems = problems_of(error, StrategyFile)
                rest = _unshared(data)
            for target in sorted(_targets(error), key=_depth_and_index, reverse=True):
                _take_out(rest, target, places)
    return Sound(StrategyFile(), places, _ids(data)), problems


def _targets(error: ValidationError) -> set[Location]:
    """What to take out for each error: the key, or the whole of what lacks one."""
    targets = set()
    for detail in error.errors(include_url=False, include_input=False):
        location = location_of(detail, StrategyFile)
        if detail["type"] == "missing":
            location = location[:-1]
        nested = next((at for at, part in enumerate(location) if at > 1 and isinstance(part, int)), len(location))
        targets.add(location[:nested])
    return targets


def _depth_and_index(location: Location) -> tuple[int, int]:
    return len(location), location[1] if len(location) > 1 and isinstance(location[1], int) else -1


def _take_out(data: Any, target: Location, places: dict[str, list[int]]) -> None:
    holder = data
    for part in target[:-1]:
        try:
            holder = holder[part]
        except (KeyError, IndexError, TypeError):
            return  # it went with something larger
    if not target:
        return
    last = target[-1]
    if isinstance(holder, list) and isinstance(last, int):
        del holder[last]
        del places[str(target[0])][last]
    elif isinstance(holder, dict):
        holder.pop(last, None)


def _unshared(value: Any) -> Any:
    """A copy in which nothing is shared, although aliases share."""
    if isinstance(value, dict):
        return {key: _unshared(one) for key, one in value.items()}
    return [_unshared(one) for one in value] if isinstance(value, list) else value


def _ids(data: dict[str, Any]) -> dict[str, set[str]]:
    ids = {name: _ids_in(value) for name, value in data.items()}
    objectives = data.get("objectives")
    ids["measures"] = set()
    for objective in objectives if isinstance(objectives, list) else []:
        if isinstance(objective, dict):
            ids["measures"] |= _ids_in(objective.get("measures"))
    return ids


def _ids_in(section: Any) -> set[str]:
    if not isinstance(section, list):
        return set()
    return {
        normalize("NFC", part["id"]) for part in section if isinstance(part, dict) and isinstance(part.get("id"), str)
    }
