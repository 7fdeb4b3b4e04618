"""The one error type of the server; codes and status are those of the service's model (botocore, kinesis 2013-12-02).

The texts are the service's own where someone has published them (the tests of kinesalite, issues of boto3, the Kinesis
Client Library and Flink): people search their logs for them, so a test server should log the same.
"""

from __future__ import annotations


class ServiceError(Exception):
    """An answer other than success: ``code`` becomes ``__type``, ``status`` the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid_argument(message: str) -> ServiceError:
    return ServiceError("InvalidArgumentException", message)


def not_found(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message)


def in_use(message: str) -> ServiceError:
    return ServiceError("ResourceInUseException", message)


def limit_exceeded(message: str) -> ServiceError:
    return ServiceError("LimitExceededException", message)


def throughput_exceeded(shard: str, stream: str, account: str) -> ServiceError:
    return ServiceError(
        "ProvisionedThroughputExceededException",
        f"Rate exceeded for shard {shard} in stream {stream} under account {account}.",
    )


def violated(member: str, constraint: str) -> ServiceError:
    """A request that breaks the model's constraints is refused before the operation sees it."""
    return ServiceError(
        "ValidationException",
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {constraint}",
    )


def kms_throttled() -> ServiceError:
    return ServiceError(
        "KMSThrottlingException",
        "The request was denied due to request throttling. (Service: AWSKMS; Status Code: 400)",
    )


def access_denied(operation: str, stream: str) -> ServiceError:
    return ServiceError(
        "AccessDeniedException",
        f"User is not authorized to perform: kinesis:{operation} on resource: {stream} because no policy allows it",
    )


def internal_failure() -> ServiceError:
    return ServiceError("InternalFailure", "Internal Service Failure", 500)


def unavailable() -> ServiceError:
    return ServiceError("ServiceUnavailable", "Service is unavailable, please retry.", 503)
