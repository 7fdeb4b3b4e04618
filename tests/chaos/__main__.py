"""Kills the job again and again, by a plan that a seed fixes, and holds every record against what was put.

Exit code 0: each record is in the tables exactly once, and the job did nothing that it must not; 1: else, with the seed
and a folder with the jobs' logs and everything in the store. SIGTERM ends it after the life at hand, with all checks.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

if not __package__:
    # Started by its folder, this folder itself is first on the path, and its files would pass for top-level modules.
    tests = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(tests), str(tests.parent / "jobs")]
    __package__ = "chaos"

from .campaign import Campaign, Limits, keep
from .first_start import sweep
from .moments import ENGINES
from .plan import lives
from .watch import Finding
from .world import World

ONLY_RANDOM = ("kills", "minutes", "cluster", "check_every", "rate")  # options of the run with random kills


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    folder = options.logs or Path(tempfile.mkdtemp(prefix=f"event-lake-chaos-{seed}-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(
        f"chaos: --seed {seed} --engine {options.engine}{' --cluster' * options.cluster}; logs in {folder}", flush=True
    )
    try:
        if options.first_start:
            killed = sweep(folder, options.engine, seed, options.first_start)
            print(f"\n- {killed} first starts, each killed after another write")
        else:
            _campaign(options, seed, folder)
    except Finding as error:
        print(f"\nchaos: FAILED: {error}\n  seed {seed}; logs, and everything that was in the store: {folder}")
        return 1
    print("\nchaos: OK, nothing lost, nothing twice")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="end after so many kill -9 (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=600, help="or after so many minutes (default %(default)s)")
    parser.add_argument("--seed", type=int, help="repeats the plan of another run (default: a new one)")
    parser.add_argument("--engine", choices=ENGINES, default="index", help="dedup.engine (default %(default)s)")
    parser.add_argument("--cluster", action="store_true", help="on a small Spark cluster, and kill executors")
    parser.add_argument("--check-every", type=int, default=25, help="kills between two checks (default %(default)s)")
    parser.add_argument("--rate", type=int, default=30, help="records put a second (default %(default)s)")
    parser.add_argument(
        "--first-start",
        type=int,
        nargs="?",
        const=1,
        metavar="N",
        help="instead: kill a job's very first start after its N-th write to the store (default 1), another's after "
        "the next, and so on to the last; a later start must catch up each time",
    )
    parser.add_argument("--logs", type=Path, help="keep logs there (default: a temporary folder, kept on failure)")
    options = parser.parse_args(arguments)
    if options.first_start is not None:
        given = [name for name in ONLY_RANDOM if getattr(options, name) != parser.get_default(name)]
        if given:
            parser.error(f"--first-start makes no use of --{given[0].replace('_', '-')}: leave it out")
        if options.first_start < 1:
            parser.error(f"--first-start {options.first_start}: the first write is 1")
    return options


def _campaign(options: argparse.Namespace, seed: int, folder: Path) -> None:
    asked_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: asked_to_end.set())
    limits = Limits(options.kills, options.minutes, options.check_every, asked_to_end)
    began = time.monotonic()
    with World(folder, options.engine, seed, options.rate, options.cluster) as world:
        campaign = Campaign(world)
        try:
            campaign.run(lives(seed, options.engine, options.cluster), limits)
        except Finding:
            keep(world, folder / "s3")
            raise
        finally:
            print("\n" + "\n".join(campaign.tally.lines(world)))
            print(f"- {(time.monotonic() - began) / 60:.0f} minutes, seed {seed}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
