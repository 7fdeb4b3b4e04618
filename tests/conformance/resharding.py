"""Calls on a stream that is split, merged and scaled; after those of `reading`."""

from __future__ import annotations

from typing import Any

from .session import FIRST, HALF, SECOND, Session, call, described


@call
def a_shard_is_split(session: Session) -> Any:
    session.client.split_shard(StreamName="events", ShardToSplit=FIRST, NewStartingHashKey=str(HALF // 2))
    session.wait_until_active()
    return [described(shard) for shard in session.client.list_shards(StreamName="events")["Shards"]]


@call
def puts_go_to_the_children(session: Session) -> Any:
    return session.put("left") + session.put("right", hash_key=HALF // 2)


@call
def a_closed_shard_is_read_to_its_end(session: Session) -> Any:
    result = session.read("TRIM_HORIZON")
    return [data for page in result["pages"] for data in page], result["ended"]


@call
def its_last_answer_names_the_children(session: Session) -> Any:
    following: str | None = session.iterator("TRIM_HORIZON")
    page: Any = None
    while following is not None:
        page = session.client.get_records(ShardIterator=following)
        following = page.get("NextShardIterator")
    children = [(child["ShardId"], child["ParentShards"]) for child in page["ChildShards"]]
    return children, page["MillisBehindLatest"]


@call
def latest_of_a_closed_shard_is_its_end(session: Session) -> Any:
    return session.read("LATEST")


@call
def two_shards_are_merged(session: Session) -> Any:
    session.client.merge_shards(StreamName="events", ShardToMerge="shardId-000000000003", AdjacentShardToMerge=SECOND)
    session.wait_until_active()
    return [described(shard) for shard in session.client.list_shards(StreamName="events")["Shards"]]


@call
def both_parents_name_the_merged_shard(session: Session) -> Any:
    found = []
    for shard in (SECOND, "shardId-000000000003"):
        following: str | None = session.iterator("TRIM_HORIZON", shard)
        page: Any = None
        while following is not None:
            page = session.client.get_records(ShardIterator=following)
            following = page.get("NextShardIterator")
        found.append([(child["ShardId"], sorted(child["ParentShards"])) for child in page["ChildShards"]])
    return found


@call
def the_shard_count_is_doubled(session: Session) -> Any:
    session.client.create_stream(StreamName="scaled", ShardCount=1)
    session.wait_until_active("scaled")
    answer = session.client.update_shard_count(StreamName="scaled", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    session.wait_until_active("scaled")
    shards = [described(shard) for shard in session.client.list_shards(StreamName="scaled")["Shards"]]
    return answer["CurrentShardCount"], answer["TargetShardCount"], shards


@call
def shards_are_listed_by_pages(session: Session) -> Any:
    one = session.client.list_shards(StreamName="events", MaxResults=3)
    two = session.client.list_shards(NextToken=one["NextToken"], MaxResults=3)
    return [[shard["ShardId"] for shard in page["Shards"]] for page in (one, two)], "NextToken" in two


@call
def a_filter_chooses_shards(session: Session) -> Any:
    filters: list[Any] = [
        {"Type": "AT_LATEST"},
        {"Type": "AT_TRIM_HORIZON"},
        {"Type": "FROM_TRIM_HORIZON"},
        {"Type": "AFTER_SHARD_ID", "ShardId": SECOND},
    ]
    return {each["Type"]: session.shards(ShardFilter=each) for each in filters}


@call
def an_on_demand_stream_has_four_shards(session: Session) -> Any:
    session.client.create_stream(StreamName="free", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    return session.wait_until_active("free")["StreamModeDetails"], len(session.shards("free"))
