"""A data folder comes in, a running AWS on localhost goes out: moto in process, with what it fakes made real.

    with EmbeddedAws(Path(".local")) as aws:
        deploy(aws, Path("cdk.out"))
        aws.client("stepfunctions").start_execution(...)

moto keeps its state in modules, so one embedded AWS runs at a time in a process; `stop()` leaves moto as it found it.
A module that repairs or adds something has a function `install(aws)`; it changes moto through `aws.replace` and ends
what it starts through `aws.on_stop`.
"""

from __future__ import annotations

import gc
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from moto.core.config import default_user_config
from moto.moto_api._internal.models import moto_api_backend
from moto.sts.models import sts_backends

from local.faults import Faults
from local.gateway import Gateway
from local.listener import Listener
from local.records import Credentials, ImageMapping, Invocation, Principal

if TYPE_CHECKING:
    from local.queues import Queues
    from local.scheduler import Scheduler
    from local.ses import Ses

ROOT_CREDENTIALS = Credentials("test", "test")
GC_THRESHOLD = (100_000, 50, 100)
"""Objects between two collections. moto keeps millions that never go; Python's default looked through them for a fifth
of a run's time (88.7 s, so 72.4 s)."""
_running = threading.Lock()
_making_clients = threading.Lock()  # a session of boto3 makes one client at a time


@lru_cache
def _session() -> Any:
    """The session of every client: it keeps what it has read of the service models, 60 to 300 ms each."""
    session = botocore.session.Session()
    session.set_config_variable("config_file", os.devnull)  # the developer's own profile stays out
    session.set_config_variable("credentials_file", os.devnull)
    return boto3.session.Session(botocore_session=session)


def _extensions() -> list[Callable[[EmbeddedAws], None]]:
    """The `install` functions in the order they run; imported here because they import moto's services (2 s)."""
    from local import (
        batch,
        bootstrap,
        cloudformation,
        dispatch,
        dynamodb,
        function_urls,
        iam,
        lambda_code,
        lambda_runtime,
        queues,
        scheduler,
        ses,
        stepfunctions,
        topics,
        turns,
    )

    modules = (
        dispatch,
        iam,
        lambda_code,
        lambda_runtime,
        function_urls,
        batch,
        stepfunctions,
        queues,
        topics,
        ses,
        scheduler,
        dynamodb,
        turns,
        cloudformation,
        bootstrap,
    )
    return [module.install for module in modules]


class EmbeddedAws:
    """An AWS account on this machine; a context manager, or `start()` and `stop()`.

    Attributes:
        cache_dir: what may be kept between runs, and shared by several that run at once; None lays it into `data_dir`.
        invocations: every Lambda invocation and every attempt of a Batch job that has ended, in that order.
        faults: what is to go wrong, and when.
        parallel: how many environments of one function, and how many Batch jobs, run at the same time.
        images: patterns of container image URIs (`*` as in a shell) and where their files lie on this machine.
        time_scale: what the seconds of a Retry or a Wait state are multiplied by; tests make it small.
        ses: the mail account: its quotas, suppression list, mailbox and events.
        queues: what calls functions with the messages of queues; `drain()` waits for it.
        scheduler: what fires schedules; its clock may be replaced.
    """

    ses: Ses
    queues: Queues
    scheduler: Scheduler

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        account: str = "123456789012",
        region: str = "eu-west-1",
        cache_dir: Path | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.cache_dir = (cache_dir or data_dir / "cache").resolve()
        self.account = account
        self.region = region
        self.invocations: list[Invocation] = []
        self.parallel = max(2, os.cpu_count() or 2)
        self.images: dict[str, ImageMapping] = {}
        self.time_scale = 1.0
        self.faults = Faults()
        self.gateway = Gateway()
        self._asked_port = port
        self._endpoint = ""
        self._cleanup = ExitStack()
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> EmbeddedAws:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """`http://localhost:PORT`; never the address in numbers, which moto does not take for a template URL."""
        return self._endpoint

    @property
    def mailbox(self) -> Path:
        """The folder with one .eml file for each message that SES accepted."""
        return self.data_dir / "mail"

    @property
    def scratch_dir(self) -> Path:
        """Working folders of functions and jobs; emptied on start."""
        return self.data_dir / "scratch"

    def start(self) -> None:
        """Starts the server and installs every repair.

        Raises:
            RuntimeError: another embedded AWS runs in this process.
            OSError: the port is taken.
        """
        if not _running.acquire(blocking=False):
            raise RuntimeError("An embedded AWS runs in this process already; stop it first (moto keeps one state).")
        self._cleanup.callback(_running.release)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._cleanup.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(*GC_THRESHOLD)
        shutil.rmtree(self.scratch_dir, ignore_errors=True)
        for folder in (self.mailbox, self.cache_dir, self.scratch_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self._cleanup.callback(moto_api_backend.reset)
        listener = Listener(self.gateway, self._asked_port)
        self._endpoint = f"http://localhost:{listener.port}"
        self.set_environment("MOTO_ACCOUNT_ID", self.account)
        self.set_environment("MOTO_PORT", str(listener.port))
        self.replace_item(default_user_config, "stepfunctions", {"execute_state_machine": True})
        self.replace_item(default_user_config, "iam", {"load_aws_managed_policies": True})
        listener.start()
        self._cleanup.callback(listener.stop)
        self._cleanup.callback(self._close_clients)
        self.gateway.guards.append(self.faults)
        self._cleanup.callback(self.faults.stop)
        for install in _extensions():
            install(self)

    def stop(self) -> None:
        """Ends everything that was started, the last first, and forgets all state. Twice is once."""
        self._cleanup.close()
        self._endpoint = ""

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Calls `callback` when this AWS stops, before what was started earlier stops."""
        self._cleanup.callback(callback)

    def replace(self, target: Any, name: str, value: Any) -> Any:
        """Sets an attribute of moto until this AWS stops; returns what was there."""
        # The dictionary and not getattr: a classmethod must come back as one, an inherited attribute must go again.
        own = vars(target)
        if name in own:
            self._cleanup.callback(setattr, target, name, own[name])
        else:
            self._cleanup.callback(delattr, target, name)
        before = getattr(target, name, None)
        setattr(target, name, value)
        return before

    def replace_item(self, mapping: Any, key: str, value: Any) -> None:
        """Sets an item of a mapping until this AWS stops."""
        if key in mapping:
            self._cleanup.callback(mapping.__setitem__, key, mapping[key])
        else:
            self._cleanup.callback(mapping.pop, key, None)
        mapping[key] = value

    def set_environment(self, name: str, value: str) -> None:
        """Sets a variable that moto reads, until this AWS stops."""
        self.replace_item(os.environ, name, value)

    def assume(self, role_arn: str, label: str, kill: Callable[[], None] | None = None) -> Principal:
        """A new session of a role, for whom `label` says; its requests are checked against the role's policies."""
        session = "".join(c if c.isalnum() or c in "+=,.@-_" else "-" for c in label)[:64]
        role = sts_backends[self.account]["aws"].assume_role(
            region_name=self.region,
            role_session_name=session,
            role_arn=role_arn,
            policy=None,
            duration=3600,
            external_id=None,
        )
        keys = Credentials(role.access_key_id, role.secret_access_key, role.session_token)
        principal = Principal(label, role_arn, role.arn, keys, kill)
        self.gateway.principals[keys.access_key_id] = principal
        return principal

    def environment(self, credentials: Credentials = ROOT_CREDENTIALS) -> dict[str, str]:
        """Variables by which any AWS SDK or CLI in a child process talks to this AWS."""
        return {
            **credentials.environment(),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCOUNT_ID": self.account,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self, service: str, principal: Principal | None = None) -> Any:
        """A boto3 client of this AWS, with root credentials (shared, do not close) or those of a principal (yours)."""
        with _making_clients:
            if principal is not None:
                return self._new_client(service, principal.credentials)
            if service not in self._clients:
                self._clients[service] = self._new_client(service, ROOT_CREDENTIALS)
            return self._clients[service]

    def _new_client(self, service: str, credentials: Credentials) -> Any:
        return _session().client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=960, max_pool_connections=64),
        )

    def _close_clients(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()
