"""Finding out that records are gone before anything is read.

The reader knows a loss where the next record was known (`at`): that very record must come first. Behind any other
position a shard may simply have been idle. So the offset holds, for such a shard, the time up to which it is known that
nothing was left behind (`clear`); an idle shard's is written anew once an hour. Only where that time is older than the
stream's retention may records have come and gone unseen. That is told as a loss, since nobody can tell it from one.

A stream that was deleted and made again has another creation time. A shard that is no longer listed is lost as far as
it was unread; a listed one without any known relative follows shards that came and went unread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from kinesis_source.client import KinesisClient
from kinesis_source.errors import DataLossError, StreamError
from kinesis_source.gap import ADVICE, Gap
from kinesis_source.lineage import Lineage, StreamFacts, describe
from kinesis_source.options import Options
from kinesis_source.position import END, TRIM_HORIZON, Position, StreamOffset, at, format_time, parse_time
from kinesis_source.shard_plan import ShardView
from kinesis_source.shards import children_of

log = logging.getLogger(__name__)

# How often the stream is looked at as a whole: two calls, one more for every further 1,000 shards.
LOOK_SECONDS = 3600.0

# What AWS says of a position that is not of this stream, and of a shard or stream that is not there.
SUSPICIOUS = ("InvalidArgumentException", "ResourceNotFoundException")


class LossWatch:
    """Compares where a query stands with what the stream still has."""

    def __init__(self, client: KinesisClient, options: Options, lineage: Lineage) -> None:
        self._client, self._options, self._lineage = client, options, lineage
        self._looked_at = float("-inf")
        self.facts: StreamFacts | None = None

    def look(self) -> StreamFacts:
        self.facts = describe(self._client)
        self._lineage.relist()
        self._looked_at = self._client.clock.now()
        return self.facts

    def inspect(self, reached: StreamOffset, clear: Mapping[str, float]) -> StreamOffset | None:
        """What `reached` becomes where the stream as a whole has lost something, looked at once an hour. Raises
        DataLossError unless that is allowed; None where all is well."""
        if self.facts is None or abs(self._client.clock.now() - self._looked_at) > LOOK_SECONDS:
            return self._compare(reached, clear, self.look())
        return None

    def diagnose(self, reached: StreamOffset, clear: Mapping[str, float], error: StreamError) -> StreamOffset | None:
        """The same after AWS refused a position or did not know a shard."""
        facts = self.look()
        if reached.created is None and error.code == "InvalidArgumentException":
            reached = replace(reached, created="an unknown time")  # an offset of an earlier version
        return self._compare(reached, clear, facts)

    def inspect_replay(self, begun: StreamOffset, reached: StreamOffset, shards: Iterable[str]) -> tuple[Gap, ...]:
        """The loss of a whole planned micro-batch: the stream that it was planned for is no more."""
        facts = self.look()
        if reached.created is None or reached.created == facts.created:
            return ()
        old = replace(begun, shards={shard: begun.shards[shard] for shard in shards}, created=reached.created)
        return self._made_again(old, {}, facts).gaps

    def allow(self, gaps: Iterable[Gap]) -> tuple[Gap, ...]:
        """The gaps again, logged, where going on without the records is allowed. Raises DataLossError where not."""
        gaps = tuple(gaps)
        if gaps and self._options.fail_on_data_loss:
            more = f" ({len(gaps) - 1} more shards have lost records too)" if len(gaps) > 1 else ""
            raise DataLossError(f"{gaps[0].what}{more}. {ADVICE}")
        for gap in gaps:
            log.error("%s", gap.what)
        return gaps

    # Behind a position that proves nothing

    def suspects(self, active: Mapping[str, Position], clear: Mapping[str, float]) -> dict[str, float]:
        """Shards of which nobody knows what arrived before retention began, behind where reading stands; and since
        when not."""
        horizon = self._horizon()
        return {s: clear[s] for s, p in active.items() if p.kind != "at" and clear.get(s, horizon) < horizon}

    def expired(self, shard: str, position: Position, clear: float, view: ShardView) -> tuple[Gap, Position, float]:
        """The loss behind a suspect, where reading goes on, and what the shard is then clear of; `view` is what is
        there now."""
        horizon, found = self._horizon(), view.next
        hours = self.facts.retention_seconds / 3600 if self.facts else 0
        left = "nothing is left" if view.known else "what is left of it follows"
        if found is not None:
            left = f"the oldest left is {found.sequence}, arrived {format_time(found.arrival)}"
        gap = Gap.of(
            self._options.stream_name,
            shard,
            position.value if position.sequence is not None else (found.sequence if found else None),
            found.arrival if found is not None else self._client.clock.now(),
            f"what arrived behind {position} from {format_time(clear)} to {format_time(horizon)} was never looked "
            f"for, and retention ({hours:g} hours) has passed it; {left}",
            begins=str(position),
            ends=found.sequence if found else None,
            since=clear,
        )
        if found is not None:
            return gap, at(found.sequence), found.arrival
        if view.tip_at is None or view.cursor is not None:
            return gap, position, view.tip_at or horizon
        # It has ended, nobody knows when: what came since retention's begin may be in its children.
        return gap, END, horizon

    def _horizon(self) -> float:
        return self._client.clock.now() - self.facts.retention_seconds if self.facts else float("-inf")

    # The stream as a whole

    def _compare(self, reached: StreamOffset, clear: Mapping[str, float], facts: StreamFacts) -> StreamOffset | None:
        if reached.created is not None and reached.created != facts.created:
            return self._made_again(reached, clear, facts)
        gone = [s for s, p in reached.shards.items() if p != END and s not in self._lineage.shards]
        left = {shard: position for shard, position in reached.shards.items() if shard not in gone}
        followers = [
            child.shard_id
            for shard in gone
            for child in children_of(shard, self._lineage.shards.values())
            if child.shard_id not in left and self._lineage.may_begin(child, left)
        ]
        # What follows a shard that is gone may have lost records as well: known is only what was known of the parent.
        heirs = {
            child: format_time(min(clear.get(parent, 0.0) for parent in self._lineage.shards[child].parents))
            for child in followers
        }
        left |= dict.fromkeys(followers, TRIM_HORIZON)
        waiting = {child.shard_id for shard in gone for child in children_of(shard, self._lineage.shards.values())}
        orphans = [s.shard_id for s in self._lineage.orphans(left) if s.shard_id not in waiting]
        if not gone and not orphans:
            return None
        gaps = [self._gone(shard, reached, clear) for shard in gone]
        gaps += [self._orphan(shard, reached) for shard in orphans]
        return replace(
            reached,
            shards=left | dict.fromkeys(orphans, TRIM_HORIZON),
            created=facts.created,
            first=None,
            clear={s: t for s, t in reached.clear.items() if s in left} | heirs,
            lag={},
            gaps=self.allow(gaps),
        )

    def _made_again(self, reached: StreamOffset, clear: Mapping[str, float], facts: StreamFacts) -> StreamOffset:
        gaps = [
            self._whole(
                shard,
                position,
                _known(shard, reached, clear),
                f"the stream was deleted and made again at {facts.created} (read was the one made at "
                f"{reached.created}); gone is what was behind {position}, of all that arrived",
            )
            for shard, position in reached.shards.items()
            if position != END
        ]
        roots = [shard.shard_id for shard in self._lineage.roots()]
        return StreamOffset(
            reached.stream,
            dict.fromkeys(roots, TRIM_HORIZON),
            reached.through,
            created=facts.created,
            clear=dict.fromkeys(roots, facts.created),
            gaps=self.allow(gaps),
        )

    def _gone(self, shard: str, reached: StreamOffset, clear: Mapping[str, float]) -> Gap:
        position = reached.shards[shard]
        return self._whole(
            shard,
            position,
            _known(shard, reached, clear),
            "the shard is no longer listed: retention has passed all of it. Gone is what was behind "
            f"{position}, of all that arrived",
        )

    def _orphan(self, shard: str, reached: StreamOffset) -> Gap:
        return self._whole(
            shard,
            TRIM_HORIZON,
            _known(shard, reached, {}),
            "the shard follows others that came and went without being read. Gone is what those took in and what "
            "retention has passed in this one, of all that arrived",
        )

    def _whole(self, shard: str, position: Position, since: float | None, what: str) -> Gap:
        """All that is behind a position; `what` ends before since when."""
        sequence = position.value if position.sequence is not None else None
        what = f"{what} since {'the start' if since is None else format_time(since)}"
        stream, now = self._options.stream_name, self._client.clock.now()
        return Gap.of(stream, shard, sequence, now, what, begins=str(position), since=since)


def _known(shard: str, reached: StreamOffset, clear: Mapping[str, float]) -> float | None:
    """Until when nothing is missing in a shard."""
    known = [clear[shard]] if shard in clear else []
    known += [parse_time(reached.through)] if reached.through else []
    return max(known, default=None)
