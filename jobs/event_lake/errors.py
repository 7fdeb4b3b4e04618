"""What can go wrong, by who must act; `exit_code` is what the job ends with.

EventLakeError        1  something else; the message says what
├── LeaseError        1  whoever starts the drivers: another one has taken the lake over, or nobody can tell
├── ExecutorLost      1  nobody: a start replays the micro-batch of which some was counted twice
├── ConfigError       2  whoever wrote the configuration: the message names the key
├── DataLossError     3  whoever owns stream and checkpoint: records would be lost, nothing was skipped
└── AccountingError   4  whoever maintains this project: a micro-batch does not add up, nothing of it was written
"""


def in_one_line(error: Exception) -> str:
    """What it says first; of an error of Java's that is behind a line about the call, which tells nothing."""
    first, *rest = str(error).splitlines() or [""]
    return rest[0][2:] if rest and rest[0].startswith(": ") else first


class EventLakeError(Exception):
    """Base of every error that the job raises on purpose."""

    exit_code = 1


class LeaseError(EventLakeError):
    """This driver may not write: another one has the lease, or it could not be renewed. Nothing more was committed."""


class ExecutorLost(EventLakeError):
    """What Spark counted of a micro-batch is too much, since some of it was read twice; nothing of it was written."""


class ConfigError(EventLakeError):
    """The configuration is wrong; nothing was started."""

    exit_code = 2


class DataLossError(EventLakeError):
    """Going on would lose records, or leave them out of the table."""

    exit_code = 3


class AccountingError(EventLakeError):
    """received = stored + duplicates + quarantined does not hold, or a record was dropped as late."""

    exit_code = 4
