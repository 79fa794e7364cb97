"""The benchmark command: ``uv run python -m tests.benchmarks``. Ratios are taken in one run; trust them first."""

import argparse
import asyncio
import logging

from services.cli.app import collect_seldom
from tests.benchmarks import backfill, growth, hooks, latency, memory, projection

SUITES = {
    "backfill": backfill.run,
    "projection": projection.run,
    "latency": latency.run,
    "growth": growth.run,
    "memory": memory.run,
    "hooks": hooks.run,
}


def main() -> None:
    """Run the chosen suites, one after the other, and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", help=f"{', '.join(SUITES)}; all by default")
    parser.add_argument("--items", type=int, default=5_000)
    chosen = parser.parse_args()
    unknown = set(chosen.suites) - SUITES.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that starts is asked until it answers
    collect_seldom()
    for name in chosen.suites or SUITES:
        asyncio.run(SUITES[name](chosen.items))


if __name__ == "__main__":
    main()
