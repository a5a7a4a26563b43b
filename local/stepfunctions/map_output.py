"""ResultWriter: a finished map run in, its results in S3 and the pointer to their manifest out.

moto writes a manifest that lists nothing. Format: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

from __future__ import annotations

import json
from typing import Any

from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

WRITER = "arn:aws:states:::s3:putObject"
_FILES = {"SUCCEEDED": {"SUCCEEDED"}, "FAILED": {"FAILED", "TIMED_OUT"}, "PENDING": {"ABORTED", "RUNNING"}}


def write_results(writer: dict[str, Any], record: Any, s3: Any) -> dict[str, Any]:
    """The output of the Map state: `{"MapRunArn": …, "ResultWriterDetails": {"Bucket": …, "Key": …/manifest.json}}`."""
    bucket, prefix = writer["Arguments"]["Bucket"], writer["Arguments"].get("Prefix", "")
    folder = "/".join(part for part in (prefix.strip("/"), record.map_run_arn.rpartition(":")[2]) if part)
    files: dict[str, list[dict[str, Any]]] = {}
    for kind, statuses in _FILES.items():
        results = [_result(child) for child in record.children if child.status in statuses]
        body = json.dumps(results).encode()
        files[kind] = [{"Key": f"{folder}/{kind}_0.json", "Size": len(body)}] if results else []
        for file in files[kind]:
            s3.put_object(Bucket=bucket, Key=file["Key"], Body=body, ContentType="application/json")
    manifest = {"DestinationBucket": bucket, "MapRunArn": record.map_run_arn, "ResultFiles": files}
    key = f"{folder}/manifest.json"
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(manifest).encode(), ContentType="application/json")
    return {"MapRunArn": record.map_run_arn, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}


def _result(child: Any) -> dict[str, Any]:
    result = {
        "ExecutionArn": child.exec_arn,
        "Input": to_json_str(child.input_data, (",", ":")),
        "InputDetails": {"Included": True},
        "Name": child.name,
        "StartDate": iso_8601_datetime_with_milliseconds(child.start_date),
        "StateMachineArn": child.state_machine_arn,
        "Status": child.status,
    }
    if child.stop_date is not None:
        result["StopDate"] = iso_8601_datetime_with_milliseconds(child.stop_date)
    if child.status == "SUCCEEDED":
        result |= {"Output": to_json_str(child.output, (",", ":")), "OutputDetails": {"Included": True}}
    return result | {key: value for key, value in (("Error", child.error), ("Cause", child.cause)) if value is not None}
