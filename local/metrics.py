"""Log lines come in; the metrics that they carry in CloudWatch's embedded metric format go out to CloudWatch.

Format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from local.server import EmbeddedAws

MAX_DATA = 500  # in one request; AWS takes a thousand
_log = logging.getLogger(__name__)


def publish_metrics(aws: EmbeddedAws, lines: Iterable[str]) -> None:
    """Puts each metric once for each of its sets of dimensions; what does not keep to the format is left out."""
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if line.startswith("{") and '"CloudWatchMetrics"' in line:
            try:
                for namespace, datum in list(_data(json.loads(line))):
                    by_namespace.setdefault(namespace, []).append(datum)
            except (KeyError, TypeError, ValueError) as error:
                _log.warning("metrics_not_understood %r", error)
    for namespace, data in by_namespace.items():
        for start in range(0, len(data), MAX_DATA):
            aws.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data[start : start + MAX_DATA])


def _data(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for directive in record["_aws"]["CloudWatchMetrics"]:
        for metric in directive.get("Metrics", ()):
            values = record[metric["Name"]]
            for names in directive.get("Dimensions") or [[]]:
                datum = {
                    "MetricName": metric["Name"],
                    "Unit": metric.get("Unit", "None"),
                    "Values": [float(value) for value in (values if isinstance(values, list) else [values])],
                    "Dimensions": [{"Name": name, "Value": str(record[name])} for name in names],
                }
                yield directive["Namespace"], datum
