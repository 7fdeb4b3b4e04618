"""The options of ``spark.readStream.format("kinesis-exact")``, read once and typed.

Names are case-insensitive, as everywhere in Spark. What a batch (``spark.read``) takes as start and end: see `bounds`.

==================  ==============  ===================================================================================
option              default         meaning
==================  ==============  ===================================================================================
streamName          required        name or ARN of the stream
region              from the chain  AWS region; boto3's own chain is asked where it is missing
endpointUrl         AWS             another endpoint: VPC, FIPS, or a server on this machine
roleArn             none            role to assume, through STS, for reading; renewed in driver and tasks
roleSessionName     kinesis-exact   name of the assumed role's session
externalId          none            what the role's trust policy asks for
stsEndpointUrl      AWS             another endpoint of STS
startingPosition    trim_horizon    ``trim_horizon``, ``latest``, an ISO 8601 time or a JSON offset (another query's
                                    end, from Spark's offset log); used by a query's first start only
endingPosition      none            a JSON offset as `kinesis_source.tip` gives it: read up to it, then stay idle
failOnDataLoss      true            stop when records that were to be read are gone; false: a row says so (see `gap`)
sliceSeconds        600             most arrival time, in seconds, that one micro-batch covers while catching up
maxRecordsPerBatch  no limit        most records of a micro-batch, about; exact where a shard's part is under 2,500
maxBytesPerBatch    no limit        most bytes of a micro-batch, about; exact where a shard's part is under 2 MiB
holdBackMs          200             how far behind the server's clock a busy shard's micro-batch ends, in milliseconds
idlePauseMs         200             least time between two looks at an idle stream, in milliseconds
tasks               CPU count       most Spark tasks a micro-batch is read with
connectionsPerTask  8               most requests that one task has under way
retrySeconds        120             how long a failing request is tried again before the query stops
callsPerSecond      5               most GetRecords calls a second that reading makes to one shard
bytesPerSecond      2097152         most bytes a second that reading takes from one shard
taskMemoryMB        64              most MB (1,048,576 bytes) that one task holds of answers, in all their forms
==================  ==============  ===================================================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from kinesis_source.errors import OptionError
from kinesis_source.position import StreamOffset, parse_time
from kinesis_source.slices import Limits

NAMES = (
    "streamName",
    "region",
    "endpointUrl",
    "roleArn",
    "roleSessionName",
    "externalId",
    "stsEndpointUrl",
    "startingPosition",
    "endingPosition",
    "failOnDataLoss",
    "sliceSeconds",
    "maxRecordsPerBatch",
    "maxBytesPerBatch",
    "holdBackMs",
    "idlePauseMs",
    "tasks",
    "connectionsPerTask",
    "retrySeconds",
    "callsPerSecond",
    "bytesPerSecond",
    "taskMemoryMB",
)


@dataclass(frozen=True)
class Options:
    """Everything that a reader needs to know; plain values only, so that it pickles to the executors."""

    stream: str
    region: str | None = None
    endpoint_url: str | None = None
    starting_position: str | StreamOffset = "trim_horizon"
    ending_position: StreamOffset | None = None
    fail_on_data_loss: bool = True
    slice_seconds: float = 600.0
    max_records: float = float("inf")
    max_bytes: float = float("inf")
    hold_back_seconds: float = 0.2
    idle_pause_seconds: float = 0.2
    tasks: int = 0
    connections: int = 8
    retry_seconds: float = 120.0
    calls_per_second: float = 5.0
    bytes_per_second: float = 2.0 * 1024 * 1024
    task_memory: int = 64 * 1024 * 1024
    role_arn: str | None = None
    role_session_name: str | None = None
    external_id: str | None = field(default=None, repr=False)
    sts_endpoint_url: str | None = None

    @property
    def limits(self) -> Limits:
        return Limits(self.slice_seconds, self.max_records, self.max_bytes)

    @property
    def stream_field(self) -> dict[str, str]:
        """The request field that names the stream: AWS takes a name or an ARN, each under its own key."""
        return {"StreamARN" if self.stream.startswith("arn:") else "StreamName": self.stream}

    @property
    def empty_pause_seconds(self) -> float:
        """How long to wait after an empty answer: there is no hurry, and the shard's calls are counted."""
        return 1.0 / self.calls_per_second

    @property
    def stream_name(self) -> str:
        return self.stream.rpartition("/")[2]

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Options:
        """Reads Spark's option map. Raises OptionError, naming the option."""
        texts = {key.lower(): value for key, value in given.items()}
        unknown = sorted(set(texts) - {name.lower() for name in NAMES})
        if unknown:
            raise OptionError(f"kinesis-exact has no option {unknown[0]!r}; it has {', '.join(NAMES)}")
        if not texts.get("streamname"):
            raise OptionError("kinesis-exact needs the option streamName: the name or ARN of the stream")
        ending = texts.get("endingposition")
        return cls(
            stream=texts["streamname"],
            region=texts.get("region") or None,
            endpoint_url=texts.get("endpointurl") or None,
            role_arn=_role(texts),
            role_session_name=texts.get("rolesessionname") or None,
            external_id=texts.get("externalid") or None,
            sts_endpoint_url=texts.get("stsendpointurl") or None,
            starting_position=_start(texts),
            ending_position=None if ending is None else StreamOffset.from_json(json.loads(ending)),
            fail_on_data_loss=_flag(texts, "failOnDataLoss", True),
            slice_seconds=_number(texts, "sliceSeconds", 600.0, least=1.0),
            max_records=_number(texts, "maxRecordsPerBatch", float("inf"), least=1.0),
            max_bytes=_number(texts, "maxBytesPerBatch", float("inf"), least=1.0),
            hold_back_seconds=_number(texts, "holdBackMs", 200.0, least=0.0) / 1000,
            idle_pause_seconds=_number(texts, "idlePauseMs", 200.0, least=0.0) / 1000,
            tasks=int(_number(texts, "tasks", float(os.cpu_count() or 1), least=1.0)),
            connections=int(_number(texts, "connectionsPerTask", 8.0, least=1.0)),
            retry_seconds=_number(texts, "retrySeconds", 120.0, least=0.0),
            calls_per_second=_number(texts, "callsPerSecond", 5.0, least=0.1),
            bytes_per_second=_number(texts, "bytesPerSecond", 2.0 * 1024 * 1024, least=1024.0),
            task_memory=int(_number(texts, "taskMemoryMB", 64.0, least=1.0) * 1024 * 1024),
        )


def _start(texts: Mapping[str, str]) -> str | StreamOffset:
    text = texts.get("startingposition", "trim_horizon")
    if text.lstrip().startswith("{"):
        try:
            offset = StreamOffset.from_json(json.loads(text))
        except json.JSONDecodeError as error:
            raise OptionError(f"option startingPosition is no JSON offset: {error}") from error
        name = texts["streamname"].rpartition("/")[2]
        if offset.stream != name:
            raise OptionError(f"option startingPosition is an offset of stream {offset.stream}, not of {name}")
        return offset
    if text not in ("trim_horizon", "latest"):
        parse_time(text)
    return text


def _role(texts: Mapping[str, str]) -> str | None:
    role = texts.get("rolearn")
    if not role:
        for name in ("roleSessionName", "externalId", "stsEndpointUrl"):
            if texts.get(name.lower()):
                raise OptionError(f"option {name} is given without roleArn")
        return None
    if not (role.startswith("arn:") and ":role/" in role):
        raise OptionError(f"option roleArn is {role!r}; expected arn:aws:iam::ACCOUNT:role/NAME")
    return role


def _flag(texts: Mapping[str, str], name: str, default: bool) -> bool:
    text = texts.get(name.lower(), str(default)).lower()
    if text not in ("true", "false"):
        raise OptionError(f"option {name} is {text!r}; expected true or false")
    return text == "true"


def _number(texts: Mapping[str, str], name: str, default: float, least: float) -> float:
    text = texts.get(name.lower())
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError as error:
        raise OptionError(f"option {name} is {text!r}; expected a number") from error
    if not least <= value < float("inf"):
        raise OptionError(f"option {name} is {text}; expected at least {least:g}")
    return value
