"""Clients for states: a running state in, a boto3 client with the rights of its state machine's role out.

moto signs every call with the same made-up key; here what the role may not do, the state cannot do either.
Clients are kept: each holds open connections, and making one takes 20 to 60 ms.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_LIFETIME_S = 1800  # half of what STS gives


class RoleClients:
    """One client for each service, role and state machine."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str, str], tuple[float, Any]] = {}

    def install(self) -> None:
        for name, module in list(sys.modules.items()):
            if name.startswith("moto.stepfunctions.") and hasattr(module, "boto_client_for"):
                self._aws.replace(module, "boto_client_for", self._boto_client_for)
        task_credentials = StateTask._eval_state_credentials

        def named_credentials(task: Any, env: Any) -> Any:
            credentials = task_credentials(task, env)
            credentials.machine = _machine(env)
            return credentials

        self._aws.replace(StateTask, "_eval_state_credentials", named_credentials)

    def of(self, env: Any, service: str) -> Any:
        return self.get(service, env.aws_execution_details.role_arn, _machine(env))

    def get(self, service: str, role_arn: str, machine: str) -> Any:
        key = (service, role_arn, machine)
        with self._lock:
            made_at, client = self._clients.get(key, (0.0, None))
            if client is None or time.monotonic() - made_at > _LIFETIME_S:
                principal = self._aws.assume(role_arn, f"machine:{machine}")
                client = self._aws.client(service, principal)
                self._clients[key] = time.monotonic(), client
        return client

    def _boto_client_for(self, region: str, service: str, state_credentials: Any) -> Any:
        if region != self._aws.region:
            raise ValueError(
                f"A state asked for {service} in {region}; the embedded AWS has the region {self._aws.region} only."
            )
        return self.get(service, state_credentials.role_arn, state_credentials.machine)


def _machine(env: Any) -> str:
    return str(env.states.context_object.context_object_data["StateMachine"]["Name"]).partition("/")[0]
