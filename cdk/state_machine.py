"""The state machine: its definition, functions, jobs and bucket in; the deployed machine with its role out.

`DefinitionBody.from_string` grants nothing, so every permission stands here, and a test derives from the definition
which there have to be.
"""

from collections.abc import Mapping
from typing import Final

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.nag import acknowledge, acknowledge_wildcards
from cdk.training import Training
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.stages import BATCH_STAGES, LAMBDA_STAGES
from statemachine.definition import distributed_maps, read_definition

MAP_RESULTS: Final = f"{RunKeys('*').root}map-results/*"


class StateMachine(Construct):
    """statemachine/pipeline.asl.json, deployed under the stack's name."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.Bucket,
        training: Training,
        functions: Mapping[str, lambda_.Function],
    ) -> None:
        super().__init__(scope, construct_id)
        self._bucket = bucket
        self._training = training
        self._functions = {stage: functions[stage] for stage in LAMBDA_STAGES}
        name = Stack.of(self).stack_name
        self._role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        self._allow_stages()
        self._allow_maps(name)
        acknowledge(self._role, "IAM5[Resource::*]", _EVERYTHING_REASON)
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/vendedlogs/states/{name}",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            definition_body=sfn.DefinitionBody.from_string(read_definition()),
            definition_substitutions=self._substitutions(),
            role=self._role,
            tracing_enabled=True,
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True),
        )

    def _substitutions(self) -> dict[str, str]:
        """The definition's placeholders."""
        return {
            "Bucket": self._bucket.bucket_name,
            "JobQueue": self._training.queue.job_queue_arn,
            **{f"{s}JobDefinition": self._training.job_definitions[s].job_definition_arn for s in BATCH_STAGES},
            **{f"{stage}Function": function.function_arn for stage, function in self._functions.items()},
        }

    def _allow_stages(self) -> None:
        stack = Stack.of(self)
        self._allow("", ["lambda:InvokeFunction"], [f.function_arn for f in self._functions.values()])
        definitions = [
            stack.format_arn(service="batch", resource="job-definition", resource_name=f"{stack.stack_name}-{stage}:*")
            for stage in BATCH_STAGES
        ]
        self._allow(
            "a run that started before a deployment submits the job definition's earlier revision",
            ["batch:SubmitJob"],
            [self._training.queue.job_queue_arn, *definitions],
        )
        jobs = stack.format_arn(service="batch", resource="job", resource_name="*")
        self._allow("jobs get their ids when they are submitted", ["batch:TerminateJob"], [jobs])
        self._allow("", ["batch:DescribeJobs"], ["*"])
        rule = stack.format_arn(
            service="events", resource="rule", resource_name="StepFunctionsGetEventsForBatchJobsRule"
        )
        self._allow("", ["events:PutTargets", "events:PutRule", "events:DescribeRule"], [rule])

    def _allow_maps(self, name: str) -> None:
        stack = Stack.of(self)

        def arn(resource: str, resource_name: str) -> str:
            return stack.format_arn(
                service="states",
                resource=resource,
                resource_name=resource_name,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )

        children = [arn("execution", f"{name}/{label}:*") for label in distributed_maps()]
        self._allow("", ["states:StartExecution"], [arn("stateMachine", name)])
        self._allow(
            "executions get their names when they start",
            ["states:DescribeExecution", "states:StopExecution"],
            [arn("execution", f"{name}:*"), *children],
        )
        self._allow("executions get their names when they start", ["states:RedriveExecution"], children)
        self._allow("", ["s3:ListBucket"], [self._bucket.bucket_arn])
        self._allow(
            "keys hold run ids that are made at run time",
            ["s3:GetObject", "s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"],
            [self._bucket.arn_for_objects(MAP_RESULTS)],
        )

    def _allow(self, because: str, actions: list[str], arns: list[str]) -> None:
        """`because` answers for resources that end in a wildcard."""
        self._role.add_to_policy(iam.PolicyStatement(actions=actions, resources=arns))
        if because:
            acknowledge_wildcards(self._role, arns, because)


_EVERYTHING_REASON: Final = (
    "batch:DescribeJobs, X-Ray's actions and those that set up the delivery of logs (logs:CreateLogDelivery and its "
    "kind) know no resources"
)
