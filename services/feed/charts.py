"""Pure: charts as inline SVG; they scale, print, follow the page's colours, and say in words what they show."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup, escape

from schemas.events import Forecast
from schemas.figures import Burnup

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 16, 34
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class _Frame:
    """Where a day and an amount lie on the drawing."""

    first: date
    last: date
    top: float

    def x(self, day: date) -> float:
        span = max((self.last - self.first).days, 1)
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * (day - self.first).days / span, 1)

    def y(self, amount: float) -> float:
        return round(_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * amount / self.top, 1)


def _steps(amount: float) -> float:
    """A round step that divides an axis into about four."""
    step = 1.0
    while amount / step > 5:
        step *= 2.5 if str(int(step))[0] == "2" else 2
    return step


def _path(frame: _Frame, points: Sequence[tuple[date, float]]) -> str:
    return "M" + "L".join(f"{frame.x(day)} {frame.y(amount)}" for day, amount in points)


def _grid(frame: _Frame) -> list[str]:
    parts = []
    step, amount = _steps(frame.top), 0.0
    while amount <= frame.top:
        y = frame.y(amount)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{amount:g}</text>')
        amount += step
    months = (frame.last.year - frame.first.year) * 12 + frame.last.month - frame.first.month
    every = max(1, -(-months // 9))
    day = date(frame.first.year, frame.first.month, 1)
    while day <= frame.last:
        if day >= frame.first and (day.month - 1) % every == 0:
            label = _MONTHS[day.month - 1] + (f" {day.year % 100:02d}" if day.month == 1 else "")
            x = frame.x(day)
            parts.append(
                f'<line class="grid" x1="{x}" x2="{x}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - _BOTTOM + 5}"/>'
            )
            parts.append(f'<text class="tick" x="{x}" y="{_HEIGHT - 12}" text-anchor="middle">{label}</text>')
        day = (day + timedelta(days=32)).replace(day=1)
    return parts


def burnup_svg(title: str, burnup: Burnup, forecast: Forecast, today: date) -> Markup:
    """Scope, done and plan by day, with the forecast's cone from today to its P50 and P85."""
    days = burnup.days
    if not days:
        return Markup("")
    first = days[0].day if burnup.start is None else min(max(burnup.start, days[0].day), days[-1].day)
    ends = [day for day in (today, burnup.due, forecast.p50, forecast.p85) if day is not None]
    last = min(max(ends), today + timedelta(days=540))
    shown = [one for one in days if one.day >= first]
    before = [one for one in days if one.day < first]
    if before:
        shown.insert(0, type(before[-1])(first, before[-1].scope, before[-1].done, None))
    top = max([one.scope for one in shown] + [burnup.baseline_scope or 0, 1]) * 1.08
    frame = _Frame(first, last, top)
    done = [(one.day, one.done) for one in shown]
    area = _path(frame, done) + f"L{frame.x(shown[-1].day)} {frame.y(0)}L{frame.x(first)} {frame.y(0)}Z"
    planned = [(one.day, one.planned) for one in shown if one.planned is not None]
    parts = _grid(frame)
    parts.append(f'<path class="done-area" d="{area}"/>')
    if planned:
        if burnup.due is not None and burnup.baseline_scope is not None and burnup.due <= last:
            planned = [one for one in planned if one[0] < burnup.due] + [(burnup.due, burnup.baseline_scope)]
        parts.append(f'<path class="planned" d="{_path(frame, planned)}"/>')
    parts.append(f'<path class="scope" d="{_path(frame, [(one.day, one.scope) for one in shown])}"/>')
    parts += _cone(frame, shown[-1].done, shown[-1].scope, forecast, today)
    parts.append(f'<path class="done" d="{_path(frame, done)}"/>')
    parts += _marks(frame, burnup.due, today)
    said = _in_words(title, burnup, forecast)
    return Markup(  # noqa: S704 - every text in it is escaped here
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="burnup-title burnup-words">'
        f'<title id="burnup-title">{escape(title)}: burn-up and forecast</title>'
        f'<desc id="burnup-words">{escape(said)}</desc>' + "".join(parts) + "</svg>"
    )


def _cone(frame: _Frame, done: float, scope: float, forecast: Forecast, today: date) -> list[str]:
    if forecast.p50 is None or scope <= done or forecast.p50 <= today:
        return []
    start = f"{frame.x(today)} {frame.y(done)}"
    early = f"{frame.x(min(forecast.p50, frame.last))} {frame.y(scope)}"
    parts = []
    if forecast.p85 is not None:
        late = f"{frame.x(min(forecast.p85, frame.last))} {frame.y(scope)}"
        parts.append(f'<path class="cone" d="M{start}L{early}L{late}Z"/>')
    parts.append(f'<path class="forecast" d="M{start}L{early}"/>')
    return parts


def _marks(frame: _Frame, due: date | None, today: date) -> list[str]:
    parts = []
    for day, kind, label in ((due, "due", "due"), (today, "today", "today")):
        if day is not None and frame.first <= day <= frame.last:
            x = frame.x(day)
            side = "end" if x > _WIDTH - 80 else "start"
            shift = -5 if side == "end" else 5
            parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
            y = _TOP + (10 if kind == "due" else 24)
            parts.append(f'<text class="mark {kind}" x="{x + shift}" y="{y}" text-anchor="{side}">{label}</text>')
    return parts


def _in_words(title: str, burnup: Burnup, forecast: Forecast) -> str:
    last = burnup.days[-1]
    text = f"{title}: {last.done:g} of {last.scope:g} done on {last.day.isoformat()}."
    if forecast.p50 and forecast.p85:
        text += f" Done by {forecast.p50.isoformat()} with even odds, by {forecast.p85.isoformat()} with 85 %."
    if burnup.due:
        text += f" Due {burnup.due.isoformat()}."
    return text


_COLOURS = {"green": "#2e7d4f", "amber": "#b7791f", "red": "#b3342b", "unknown": "#6b7280"}


def badge_svg(label: str, message: str, health: str) -> str:
    """A small badge: a label and a message, coloured by health, with both as text."""
    left, right = 12 + 6.6 * len(label), 12 + 6.6 * len(message)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right:.0f}" height="20" role="img" '
        f'aria-label="{escape(label)}: {escape(message)}"><rect width="{left:.0f}" height="20" fill="#374151"/>'
        f'<rect x="{left:.0f}" width="{right:.0f}" height="20" fill="{_COLOURS[health]}"/>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="6" y="14">{escape(label)}</text><text x="{left + 6:.0f}" y="14">{escape(message)}</text></g></svg>'
    )
