"""What was done in a campaign, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .life import Outcome
from .plan import Life
from .world import World


class Tally:
    def __init__(self) -> None:
        self.kills = self.batches = self.checks = 0
        self.seconds = 0.0
        self._ends: dict[str, Counter[str]] = {}

    def add(self, life: Life, outcome: Outcome) -> None:
        self._ends.setdefault(life.end, Counter())[outcome.ended] += 1
        self.kills += outcome.ended.startswith("killed")
        self.batches += outcome.batches
        self.seconds += outcome.seconds

    def leave_out(self, life: Life, why: str) -> None:
        self._ends.setdefault(life.end, Counter())[f"left out: {why}"] += 1

    def ends(self) -> dict[str, Counter[str]]:
        """How often each end came, and what came of it."""
        return self._ends

    def lines(self, world: World) -> Iterator[str]:
        """In Markdown, so that it can be kept."""
        yield "| end of a life | what came of it | times |"
        yield "|---|---|---|"
        for end, outcomes in self._ends.items():
            for outcome, times in outcomes.most_common():
                yield f"| {end} | {outcome} | {times} |"
        calls = world.kinesis.stats().values()
        asked = sum(counts["calls"] for shards in calls for counts in shards.values())
        failed = sum(counts["throttled"] + counts["failed"] for shards in calls for counts in shards.values())
        faults = ", ".join(f"{times} × {kind}" for kind, times in sorted(world.proxy.faults.items())) or "none"
        yield ""
        yield f"- driver killed with kill -9: {self.kills}; micro-batches: {self.batches}; checks: {self.checks}"
        yield f"- Kinesis: {asked} calls, {failed} of them failed on purpose; {world.producers.reshards} reshards"
        yield f"- S3: {world.proxy.requests.total()} requests; faults: {faults}"
        counts = ", ".join(f"{key} {number}" for key, number in world.book.ledger.counts().items())
        yield f"- records put, and what they had to become: {counts}"
