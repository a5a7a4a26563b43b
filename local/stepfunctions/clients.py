"""Clients for states: a running state in, a boto3 client with the rights of its state machine's role out.

moto signs every call with the same made-up key; here what the role may not do, the state cannot do either.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask

from local.role_clients import RoleClients

if TYPE_CHECKING:
    from local.server import EmbeddedAws


class StateClients:
    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._clients = RoleClients(aws)

    def install(self) -> None:
        for name, module in list(sys.modules.items()):
            if name.startswith("moto.stepfunctions.") and hasattr(module, "boto_client_for"):
                self._aws.replace(module, "boto_client_for", self._boto_client_for)
        task_credentials = StateTask._eval_state_credentials

        def labelled_credentials(task: Any, env: Any) -> Any:
            credentials = task_credentials(task, env)
            credentials.label = _label(env)
            return credentials

        self._aws.replace(StateTask, "_eval_state_credentials", labelled_credentials)
        self._aws.on_stop(self._clients.close)

    def of(self, env: Any, service: str) -> Any:
        return self._clients.get(service, env.aws_execution_details.role_arn, _label(env))

    def _boto_client_for(self, region: str, service: str, state_credentials: Any) -> Any:
        own = self._aws.region
        if region != own:
            raise ValueError(f"A state asked for {service} in {region}; the embedded AWS has the region {own} only.")
        return self._clients.get(service, state_credentials.role_arn, state_credentials.label)


def _label(env: Any) -> str:
    name = env.states.context_object.context_object_data["StateMachine"]["Name"]
    return f"machine:{name.partition('/')[0]}"  # of a child execution: the machine that mapped
