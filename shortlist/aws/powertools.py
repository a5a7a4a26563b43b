"""What every handler has in common: Powertools' logger, tracer and metrics around one call. Payload in, payload out."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import decode

T = TypeVar("T", bound=msgspec.Struct)
Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


def stage_handler(
    stage: str, shape: type[T], call: Callable[[T, LambdaContext], tuple[Manifest, bool] | dict[str, Any]]
) -> Handler:
    """A Lambda handler that decodes the payload, makes one call and answers with what the next state needs.

    Args:
        stage: the stage word; names the log and the metrics.
        shape: struct of the payload.
        call: the stage; answers with `run_once`'s pair or with the state's output.
    """
    logger = Logger(service=stage)
    tracer = Tracer(service=stage)
    metrics = Metrics(namespace="Shortlist", service=stage)

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        request = decode(event, shape)
        run = getattr(request, "run", None)
        if run is not None:
            logger.append_keys(run_id=run.run_id, campaign=run.campaign)
        answer = call(request, context)
        if isinstance(answer, dict):
            logger.info("stage_done", extra=answer)
            return answer
        manifest, skipped = answer
        logger.info("stage_done", extra={"skipped": skipped, "shard": manifest.shard, **manifest.summary})
        if not skipped:
            metrics.add_metric(name=f"{stage}Seconds", unit=MetricUnit.Seconds, value=manifest.seconds)
            metrics.flush_metrics()  # here and not by the decorator, which warns of every call without metrics
        return {"skipped": skipped, **manifest.summary}

    return logger.inject_lambda_context(  # type: ignore[no-any-return]
        clear_state=True
    )(tracer.capture_lambda_handler(capture_response=False)(handler))
