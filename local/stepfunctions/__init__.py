"""Step Functions: moto's interpreter, each module beside this page one repair of it.

moto's code (it comes from LocalStack) parses definitions, walks states, matches errors and writes histories. What it
leaves out or does otherwise than AWS is put right here; tests/conformance/test_stepfunctions_*.py say what AWS does,
case by case, and a repair whose tests pass without it goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.server import EmbeddedAws


def install(aws: EmbeddedAws) -> None:
    """Repairs moto's Step Functions until `aws` stops."""
    from local.stepfunctions import (  # here: they import moto's interpreter (1 s)
        batch_jobs,
        casing,
        choices,
        definitions,
        distributed_map,
        evaluation,
        executions,
        failures,
        parsing,
        waiting,
    )
    from local.stepfunctions.clients import StateClients

    for repair in (parsing, definitions, evaluation, casing, failures, choices, waiting, executions):
        repair.install(aws)
    clients = StateClients(aws)
    clients.install()
    batch_jobs.install(aws, clients)
    distributed_map.install(aws, clients)
