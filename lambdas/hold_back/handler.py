"""The HoldBack function: a run that did not pass in; its record, a notification and the HeldBack metric out."""

from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.deployment import HELD_BACK_METRIC, METRIC_NAMESPACE
from shortlist.contracts.payloads import StageRequest
from shortlist.stages.hold_back import hold_back

metrics = Metrics(namespace=METRIC_NAMESPACE, service="HoldBack")


def call(request: StageRequest, context: LambdaContext) -> dict[str, Any]:
    answer = hold_back(
        request.run,
        store=wiring.store(),
        runs=wiring.runs(),
        notifier=wiring.notifier(),
        clock=wiring.clock(),
    )
    metrics.add_metric(name=HELD_BACK_METRIC, unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
    return dict(answer)


handler = stage_handler("HoldBack", StageRequest, call)
