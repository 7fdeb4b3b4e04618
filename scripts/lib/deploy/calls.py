"""A call of an AWS service: shown as JSON, checked against botocore's own model of the service, or sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

from deploy.errors import RequestError


@dataclass(frozen=True)
class Call:
    """Names as AWS has them: service `emr-serverless`, operation `StartJobRun`."""

    service: str
    operation: str
    request: dict[str, Any]

    def check(self) -> None:
        """Raises RequestError where the service's model has no such operation or would not take the request."""
        model = botocore.session.get_session().get_service_model(self.service).operation_model(self.operation)
        found = ParamValidator().validate(self.request, model.input_shape)
        if found.has_errors():
            raise RequestError(f"{self.service} {self.operation}: {found.generate_report()}")

    def send(self) -> dict[str, Any]:
        """With credentials and region from boto3's own chain. Raises botocore's ClientError."""
        self.check()
        answer: dict[str, Any] = getattr(boto3.client(self.service), xform_name(self.operation))(**self.request)
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def as_text(calls: Sequence[Call]) -> str:
    """What a dry run prints: the requests that would be sent, in their order."""
    return json.dumps([vars(call) for call in calls], indent=1)
