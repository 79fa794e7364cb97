"""The simulated trackers as a process of their own: ``python -m services.simulator --items 5000``."""

import argparse
import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from services.simulator.acme import YEAR, acme
from services.simulator.acme_files import config_text, strategy_text, write_files
from services.simulator.bulk import bulk
from services.simulator.faults import Fault, Faults
from services.simulator.github_host import github_host
from services.simulator.jira_site import jira_site
from services.simulator.motion import keep_moving
from services.simulator.serve import serve


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; prints ``jira URL`` and ``github URL`` once both answer."""
    options = _options(arguments)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> None:
    now = options.now or datetime.now(UTC)
    if options.items:
        shape = {"days": options.days, "repositories": options.repositories}
        world = bulk(items=options.items, now=now, seed=options.seed, **shape)
    else:
        world = acme(now=now, seed=options.seed, days=options.days)
    ports = (options.port, options.port + 1) if options.port else (0, 0)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    late = Fault(when="", kind="pass", seconds=options.latency / 1000, times=None)
    faults = Faults([late] if options.latency else [])
    async with (
        serve(faults.around(jira_site(world)), port=ports[0]) as jira,
        serve(faults.around(github_host(world, hourly=options.hourly or None)), port=ports[1]) as github,
    ):
        if options.write:
            write_files(options.write, strategy_text(world, days=options.days), config_text(jira, github))
        print(f"jira {jira}\ngithub {github}", flush=True)
        moving = asyncio.create_task(keep_moving(world, options.speed))
        await stopped.wait()
        moving.cancel()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="Jira's port; GitHub takes the next one (0: free ones)")
    parser.add_argument("--items", type=int, default=0, help="so many items without a life, in place of Acme's own")
    parser.add_argument("--repositories", type=int, default=2, help="of those items, on GitHub")
    parser.add_argument("--days", type=int, default=YEAR, help="of history")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds a second")
    parser.add_argument("--now", type=_moment, help="the simulated time at the start, such as 2026-11-23T10:00:00Z")
    parser.add_argument("--hourly", type=int, default=0, help="GitHub's primary limit an hour (0: none)")
    parser.add_argument("--latency", type=float, default=0, help="milliseconds that every answer takes longer")
    parser.add_argument("--write", type=Path, help="a folder for courseline.yaml, strategy.yaml and the tokens")
    return parser.parse_args(arguments)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError("needs a zone, such as the Z in 2026-11-23T10:00:00Z")
    return found


if __name__ == "__main__":
    main()
