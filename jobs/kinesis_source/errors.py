"""What can go wrong between Spark and a Kinesis stream.

    KinesisSourceError
    ├── OptionError      the query's options are wrong; fix the option that the message names
    ├── StreamError      AWS refused a call for good (no such stream, no permission); fix the stream or the role
    ├── UnavailableError AWS did not answer well within the retry time; run the query again, it goes on where it was
    └── DataLossError    records that were to be read are no longer in the stream; nothing was skipped silently

The names reach the driver inside Spark's own error text, so a job can tell them apart there.
"""


class KinesisSourceError(Exception):
    """Base of every error that this package raises on purpose."""


class OptionError(KinesisSourceError):
    """An option is missing or malformed."""


class StreamError(KinesisSourceError):
    """AWS refused a request and would refuse it again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type["StreamError"], tuple[str, str]]:
        return StreamError, (self.code, str(self))


class UnavailableError(KinesisSourceError):
    """Retrying did not help within the configured time."""


class DataLossError(KinesisSourceError):
    """Records between two known positions are gone."""
