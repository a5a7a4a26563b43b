"""SubmitJob comes in through moto's API; the container's command, run on this machine under the job's role, goes out.

moto keeps the queues, environments and definitions; the jobs are this module's. What differs from AWS: at most
`aws.parallel` jobs run at a time, the files of an image are a folder of this machine (`aws.images`), `python` in a
command is this interpreter, and a stopped container has 5 s, not 30, to end by itself.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

from moto.batch.exceptions import ClientException
from moto.batch.models import BatchBackend
from moto.batch.responses import BatchResponse

from local.batch_container import CannotStartError, check_fargate_size, make_container
from local.batch_job import ENDED, WAITING, Job, now_ms, wants_retry
from local.batch_process import NOT_STARTED, RECLAIMED, Attempt, ContainerProcess
from local.iam.guard import may_assume
from local.logs import put_lines
from local.records import Invocation, Principal
from local.server import EmbeddedAws

MAX_ARRAY_SIZE = 10_000


def install(aws: EmbeddedAws) -> None:
    """Makes moto run jobs, and refuse the Fargate sizes that AWS refuses."""
    jobs = BatchJobs(aws)
    aws.on_stop(jobs.stop)
    before_register = BatchBackend.register_job_definition

    def register(self: Any, *args: Any, **given: Any) -> Any:
        if "FARGATE" in (given.get("platform_capabilities") or ()):
            check_fargate_size(given["container_properties"])
        definition = before_register(self, *args, **given)
        definition.platform_capabilities = given.get("platform_capabilities") or []
        return definition

    def listjobs(self: Any) -> str:
        parent, queue = self._get_param("arrayJobId"), self._get_param("jobQueue")
        found = jobs.list(self.batch_backend, queue, parent, self._get_param("jobStatus") or "RUNNING")
        return json.dumps({"jobSummaryList": [job.summary() for job in found]})

    def terminatejob(self: Any) -> str:
        jobs.terminate(self._get_param("jobId"), self._get_param("reason"))
        return "{}"

    def canceljob(self: Any) -> str:
        jobs.cancel(self._get_param("jobId"), self._get_param("reason"))
        return "{}"

    aws.replace(BatchBackend, "register_job_definition", register)
    aws.replace(
        BatchResponse, "submitjob", lambda self: json.dumps(jobs.submit(self.batch_backend, json.loads(self.body)))
    )
    aws.replace(
        BatchResponse, "describejobs", lambda self: json.dumps({"jobs": jobs.describe(self._get_param("jobs"))})
    )
    aws.replace(BatchResponse, "listjobs", listjobs)
    aws.replace(BatchResponse, "terminatejob", terminatejob)
    aws.replace(BatchResponse, "canceljob", canceljob)


class BatchJobs:
    """All jobs of one embedded AWS, and the threads that run them."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, ContainerProcess] = {}
        self._threads: set[threading.Thread] = set()
        self._slots = threading.BoundedSemaphore(aws.parallel)
        self._changed = threading.Condition()
        self._stopping = False

    def submit(self, backend: Any, request: dict[str, Any]) -> dict[str, str]:
        definition = backend.get_job_definition(request["jobDefinition"])
        queue = backend.get_job_queue(request["jobQueue"])
        if definition is None or definition.status != "ACTIVE":
            raise ClientException(f"JobDefinition {request['jobDefinition']} does not exist or is not active")
        if queue is None:
            raise ClientException(f"JobQueue {request['jobQueue']} not found.")
        if definition.container_properties is None:
            raise ClientException("The embedded AWS runs jobs of one container only")
        identity = str(uuid.uuid4())
        job = self._new_job(identity, definition, queue, request)
        if size := job.array_size():
            if not 2 <= size <= MAX_ARRAY_SIZE:
                raise ClientException(f"Array size must be between 2 and {MAX_ARRAY_SIZE}, not {size}")
            job.children = [self._new_job(identity, definition, queue, request, index) for index in range(size)]
        with self._changed:
            for one in (job, *job.children):
                self._jobs[one.id] = one
        for one in job.children or [job]:
            self._start(self._run, one, job)
        if job.children:
            self._start(self._follow_children, job)
        return {"jobId": job.id, "jobName": job.name, "jobArn": job.arn}

    def describe(self, ids: list[str]) -> list[dict[str, Any]]:
        named = [self._jobs.get(identity.rpartition("/")[2]) for identity in ids]
        return [job.description() for job in named if job is not None]

    def list(self, backend: Any, queue: str | None, parent: str | None, status: str) -> list[Job]:
        if parent is not None:
            return [job for job in self._jobs[parent].children if job.status == status]
        arn = getattr(backend.get_job_queue(queue), "arn", None)
        return [j for j in list(self._jobs.values()) if j.queue.arn == arn and j.index is None and j.status == status]

    def terminate(self, identity: str, reason: str) -> None:
        """Ends a job in whatever state it is; one that has ended stays as it is."""
        job = self._jobs.get(identity)
        if job is None:
            return
        for one in job.children or [job]:
            if one.status not in ENDED:
                one.termination = reason
                container = self._running.get(one.id)
                if container is not None:
                    container.stop(reason, final=True)
        with self._changed:
            self._changed.notify_all()

    def cancel(self, identity: str, reason: str) -> None:
        """Ends a job that has not started."""
        job = self._jobs.get(identity)
        if job is not None and all(one.status in WAITING for one in job.children or [job]):
            self.terminate(identity, reason)

    def stop(self) -> None:
        """Ends every job."""
        self._stopping = True
        for job in list(self._jobs.values()):
            if job.index is None:
                self.terminate(job.id, "The embedded AWS is stopping")
        for container in list(self._running.values()):
            container.kill()
        for thread in list(self._threads):
            thread.join(timeout=10)

    def _new_job(
        self, identity: str, definition: Any, queue: Any, request: dict[str, Any], index: int | None = None
    ) -> Job:
        identity = identity if index is None else f"{identity}:{index}"
        arn = f"arn:aws:batch:{self._aws.region}:{self._aws.account}:job/{identity}"
        return Job(identity, request["jobName"], arn, definition, queue, request, index)

    def _start(self, target: Any, *given: Job) -> None:
        def work() -> None:
            try:
                target(*given)
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=work, name=f"batch-{given[0].id}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _move(self, job: Job, status: str, reason: str = "") -> None:
        with self._changed:
            job.status, job.status_reason = status, reason
            if status in ENDED:
                job.stopped_ms = now_ms()
            self._changed.notify_all()

    def _follow_children(self, parent: Job) -> None:
        self._move(parent, "PENDING")
        with self._changed:
            self._changed.wait_for(lambda: all(child.status in ENDED for child in parent.children))
        parent.started_ms = min((c.started_ms for c in parent.children if c.started_ms is not None), default=None)
        failed = any(child.status == "FAILED" for child in parent.children)
        self._move(parent, "FAILED" if failed else "SUCCEEDED", "Array Child Job failed" if failed else "")

    def _run(self, job: Job, parent: Job) -> None:
        self._move(job, "PENDING")
        if not self._dependencies_succeeded(job, parent):
            self._move(job, "FAILED", job.termination or "Dependent Job failed")
            return
        while True:
            self._move(job, "RUNNABLE")
            with self._slots:
                if job.termination is not None:
                    self._move(job, "FAILED", job.termination)
                    return
                attempt = self._attempt(job)
            if attempt.succeeded:
                self._move(job, "SUCCEEDED", attempt.status_reason)
                return
            if self._stopping or not wants_retry(job.retry_strategy(), attempt, len(job.attempts)):
                self._move(job, "FAILED", attempt.status_reason)
                return

    def _dependencies_succeeded(self, job: Job, parent: Job) -> bool:
        """Waits for the jobs that this one depends on; False when one failed or this one was terminated meanwhile."""
        awaited = []
        for dependency in job.request.get("dependsOn") or ():
            kind, identity = dependency.get("type"), dependency.get("jobId")
            if kind == "SEQUENTIAL":
                awaited += [child for child in parent.children if child.index == (job.index or 0) - 1]
            else:
                found = self._jobs.get(f"{identity}:{job.index}" if kind == "N_TO_N" else str(identity))
                awaited += [found] if found is not None else []
        with self._changed:
            self._changed.wait_for(lambda: job.termination is not None or all(one.status in ENDED for one in awaited))
        return job.termination is None and all(one.status == "SUCCEEDED" for one in awaited)

    def _attempt(self, job: Job) -> Attempt:
        self._move(job, "STARTING")
        number, started_ms = len(job.attempts) + 1, now_ms()
        group = job.log_group()
        job.log_stream = f"{job.log_prefix()}/default/{uuid.uuid4().hex}"
        try:
            principal = self._principal(job)
            container = make_container(self._aws, job, number, principal)
            put_lines(self._aws, group, job.log_stream, [])
            process = ContainerProcess(container, lambda lines: put_lines(self._aws, group, job.log_stream, lines))
        except CannotStartError as refused:
            attempt = Attempt(None, NOT_STARTED, str(refused))
        except OSError as failed:
            attempt = Attempt(127, NOT_STARTED, f"CannotStartContainerError: {failed}")
        else:
            if principal is not None:
                principal.kill = process.kill
                principal.reclaim = lambda: process.stop(RECLAIMED, final=False)
            attempt = self._follow(job, process)
        job.record(attempt, started_ms)
        error = None if attempt.succeeded else attempt.reason or attempt.status_reason
        self._aws.invocations.append(
            Invocation(
                "job", job.name, f"{job.id}#{number}", started_ms / 1000, attempt.seconds, attempt.peak_rss_mib, error
            )
        )
        return attempt

    def _follow(self, job: Job, process: ContainerProcess) -> Attempt:
        self._running[job.id] = process
        job.started_ms = job.started_ms or now_ms()
        self._move(job, "RUNNING")
        if job.termination is not None:  # came between the slot and the start
            process.stop(job.termination, final=True)
        try:
            return process.wait()
        finally:
            del self._running[job.id]

    def _principal(self, job: Job) -> Principal | None:
        role = job.definition.container_properties.get("jobRoleArn")
        if not role:
            return None
        if not may_assume(self._aws, role, "ecs-tasks.amazonaws.com"):
            raise CannotStartError(f"ECS was unable to assume the role '{role}' that was provided for this task.")
        return self._aws.assume(role, f"job:{job.name}")
