"""State machines for the suite: a few states in, the execution as DescribeExecution tells it out."""

import itertools
import json
import time

from local.records import ImageMapping
from tests.conformance.kit import archive, make_role

INVOKE = "arn:aws:states:::lambda:invoke"
SUBMIT = "arn:aws:states:::batch:submitJob.sync"
LIST_OBJECTS = "arn:aws:states:::s3:listObjectsV2"

# What a task's function does is told by its payload.
PROBE = """
import os, time
calls = {}
def handler(event, context):
    calls[event.get("key")] = calls.get(event.get("key"), 0) + 1
    if event.get("fail") and calls[event.get("key")] <= event.get("times", 99):
        raise type(event["fail"], (Exception,), {})(event.get("message", "told to"))
    time.sleep(event.get("sleep", 0))
    if event.get("exit"):
        os._exit(event["exit"])
    return event.get("answer", event)
"""


class Machines:
    """One function (`probe`), one role that may do everything, and as many state machines as a test wants."""

    def __init__(self, aws):
        self.aws = aws
        self.client = aws.client("stepfunctions")
        self.role = make_role(aws, "machines", {"Effect": "Allow", "Action": "*", "Resource": "*"})
        self.function = aws.client("lambda").create_function(
            FunctionName="probe",
            Runtime="python3.13",
            Role=self.role,
            Handler="index.handler",
            Code={"ZipFile": archive(index=PROBE)},
            MemorySize=256,
            Timeout=1,
        )["FunctionArn"]
        self._number = itertools.count()

    def probe(self, payload, **fields):
        """A Task state that calls the function with a payload."""
        return {
            "Type": "Task",
            "Resource": INVOKE,
            "Arguments": {"FunctionName": "probe", "Payload": payload},
            **fields,
        }

    def create(self, states, role=None, **fields):
        """A machine that starts with the first of its states; a state that says not where it goes ends."""
        machine = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **fields}
        return self.client.create_state_machine(
            name=f"machine-{next(self._number)}", definition=json.dumps(machine), roleArn=role or self.role
        )["stateMachineArn"]

    def start(self, states, given=None, **fields):
        machine = self.create(states, **fields)
        return self.client.start_execution(stateMachineArn=machine, input=json.dumps(given or {}))["executionArn"]

    def run(self, states, given=None, **fields):
        return self.ended(self.start(states, given, **fields))

    def ended(self, execution, seconds=10):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.client.describe_execution(executionArn=execution)
            if found["status"] != "RUNNING":
                return found
            time.sleep(0.01)
        raise TimeoutError(f"{execution} still runs after {seconds} s")

    def output(self, states, given=None, **fields):
        ended = self.run(states, given, **fields)
        assert ended["status"] == "SUCCEEDED", ended
        return json.loads(ended["output"])

    def failure(self, states, given=None, **fields):
        """(error, cause) of an execution that failed."""
        ended = self.run(states, given, **fields)
        assert ended["status"] == "FAILED", ended
        return ended.get("error"), ended.get("cause")

    def history(self, execution):
        return self.client.get_execution_history(executionArn=execution)["events"]


class Jobs:
    """A queue, and a definition (`job`) whose command a task overrides."""

    def __init__(self, aws, folder):
        aws.images["registry/jobs:*"] = ImageMapping(folder)
        ec2, batch = aws.client("ec2"), aws.client("batch")
        environment = batch.create_compute_environment(
            computeEnvironmentName="jobs",
            type="MANAGED",
            state="ENABLED",
            serviceRole=make_role(aws, "jobs-service", service="batch"),
            computeResources={
                "type": "FARGATE",
                "maxvCpus": 4,
                "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
                "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
            },
        )["computeEnvironmentArn"]
        order = [{"order": 1, "computeEnvironment": environment}]
        batch.create_job_queue(jobQueueName="jobs", state="ENABLED", priority=1, computeEnvironmentOrder=order)
        batch.register_job_definition(
            jobDefinitionName="job",
            type="container",
            platformCapabilities=["FARGATE"],
            containerProperties={
                "image": "registry/jobs:1",
                "command": ["python", "-c", "print('as defined')"],
                "jobRoleArn": make_role(aws, "job", service="ecs-tasks"),
                "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
            },
        )

    def task(self, source, **fields):
        """A Task state that runs Python source as a job and waits for it."""
        arguments = {
            "JobName": "{% 'job-' & $states.context.Execution.Name %}",
            "JobQueue": "jobs",
            "JobDefinition": "job",
            "ContainerOverrides": {"Command": ["python", "-c", source]},
        }
        return {"Type": "Task", "Resource": SUBMIT, "Arguments": arguments, **fields}
