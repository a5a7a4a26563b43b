"""Where the heavy work runs: settings and grants in, a Batch queue and one job definition per Batch stage out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration, RemovalPolicy, Size, Stack
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk.functions import grants_of
from cdk.grants import Grant, Resource, allow, environment_of, items, objects
from cdk.nag import acknowledge
from cdk.settings import ROOT, Settings
from shortlist.compute import job_size
from shortlist.contracts.keys import RunKeys, campaign_key
from shortlist.contracts.stages import BATCH_STAGES, GrowingStage, StageName, snake

ANY_RUN: Final = RunKeys("*")
SCRATCH: Final = Size.gibibytes(50)
TEMPORARY_FAILURE: Final = 75
"""Exit code of a job that met throttling or a lost connection (EX_TEMPFAIL): Batch starts it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One Batch stage; vcpus and memory_gib are None where the settings say."""

    vcpus: float | None = None
    memory_gib: int | None = None
    timeout: Duration
    grants: tuple[Grant, ...]


def job_specs(input_prefixes: tuple[str, ...]) -> dict[StageName, JobSpec]:
    """What each Batch stage needs; `input_prefixes` are those of the campaigns."""
    return {
        "Prepare": JobSpec(
            vcpus=4,
            memory_gib=16,
            timeout=Duration.hours(2),
            grants=(
                *objects(
                    read=(*(f"{prefix}*" for prefix in input_prefixes), campaign_key("*"), f"{ANY_RUN.root}*"),
                    write=(
                        ANY_RUN.run,
                        ANY_RUN.campaign,
                        ANY_RUN.responses,
                        ANY_RUN.attribution,
                        ANY_RUN.dataset("*"),
                        ANY_RUN.rejected("*"),
                        f"{ANY_RUN.recipient_shards}*",
                        ANY_RUN.manifest("Prepare"),
                        ANY_RUN.failure("Prepare"),
                    ),
                    delete=(ANY_RUN.rejected("*"), f"{ANY_RUN.recipient_shards}*", ANY_RUN.failure("Prepare")),
                ),
                items("runs", "GetItem", "PutItem", "Query"),
                items("responses", "Scan"),
            ),
        ),
        "Train": JobSpec(
            timeout=Duration.hours(12),
            grants=(
                *objects(
                    read=(f"{ANY_RUN.root}*",),
                    write=(
                        ANY_RUN.model("*"),
                        f"{ANY_RUN.checkpoint}*",
                        ANY_RUN.manifest("Train"),
                        ANY_RUN.failure("Train"),
                    ),
                    delete=(f"{ANY_RUN.checkpoint}*", ANY_RUN.failure("Train")),
                ),
                items("runs", "GetItem"),
            ),
        ),
        "Repackage": _as_function("Repackage", Duration.hours(4)),
        "BuildIndex": _as_function("BuildIndex", Duration.hours(6)),
        "Rank": _as_function("Rank", Duration.hours(6)),
    }


def _as_function(stage: GrowingStage, timeout: Duration) -> JobSpec:
    """A stage that is a function while it is small: the job may do the same, and leave a note where it fails.

    PlanCompute says for each run how large the job is; what stands here is the least.
    """
    vcpus, memory_mib = job_size(stage, 0)
    notes = f"{ANY_RUN.failures(stage)}*"
    return JobSpec(
        vcpus=vcpus,
        memory_gib=memory_mib // 1024,
        timeout=timeout,
        grants=(*grants_of(stage), *objects(write=(notes,), delete=(notes,))),
    )


class Training(Construct):
    """Fargate Spot first, on demand behind it; public subnets without NAT, so that an idle week costs nothing."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        input_prefixes: tuple[str, ...],
        resources: Mapping[str, Resource],
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._resources = resources
        self._image = self._container_image()
        self._network()
        self.queue = self._job_queue()
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/batch/{Stack.of(self).stack_name}",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        specs = job_specs(input_prefixes)
        self.job_definitions = {stage: self._job_definition(stage, specs[stage]) for stage in BATCH_STAGES}

    def _network(self) -> None:
        self._vpc = ec2.Vpc(
            self,
            "Network",
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False)
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDB": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        acknowledge(
            self._vpc,
            "VPC7",
            "nothing listens in this network: its only guests are Batch tasks that live for minutes a week, take no "
            "connection and make theirs over TLS to AWS; the account's CloudTrail names each of those calls",
        )
        self._security_group = ec2.SecurityGroup(
            self, "Jobs", vpc=self._vpc, description="Batch jobs: TLS out, nothing in", allow_all_outbound=False
        )
        self._security_group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS services")

    def _job_queue(self) -> batch.JobQueue:
        order = [self._compute_environment("Spot", spot=True), self._compute_environment("OnDemand", spot=False)]
        return batch.JobQueue(
            self,
            "Queue",
            compute_environments=[
                batch.OrderedComputeEnvironment(compute_environment=environment, order=place)
                for place, environment in enumerate(order, 1)
            ],
        )

    def _compute_environment(self, name: str, *, spot: bool) -> batch.FargateComputeEnvironment:
        return batch.FargateComputeEnvironment(
            self,
            name,
            spot=spot,
            vpc=self._vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            security_groups=[self._security_group],
            maxv_cpus=self._settings.max_vcpus,
        )

    def _job_definition(self, stage: StageName, spec: JobSpec) -> batch.EcsJobDefinition:
        settings = self._settings
        role = iam.Role(self, f"{stage}Role", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        allow(role, spec.grants, self._resources)
        arm = settings.target.machine == "arm64"
        container = batch.EcsFargateContainerDefinition(
            self,
            f"{stage}Container",
            image=self._image,
            command=["python", "-m", f"jobs.{snake(stage)}"],  # the state machine adds the payload
            cpu=spec.vcpus or settings.train_vcpus,
            memory=Size.gibibytes(spec.memory_gib or settings.train_memory_gib),
            ephemeral_storage_size=SCRATCH,
            job_role=role,
            environment=environment_of(spec.grants, (), self._resources),
            assign_public_ip=True,  # the way to ECR and CloudWatch without a NAT gateway
            fargate_cpu_architecture=ecs.CpuArchitecture.ARM64 if arm else ecs.CpuArchitecture.X86_64,
            fargate_operating_system_family=ecs.OperatingSystemFamily.LINUX,
            logging=ecs.LogDriver.aws_logs(stream_prefix=stage, log_group=self.log_group),
        )
        acknowledge(
            container.execution_role,
            "IAM5[Resource::*]",
            "ecr:GetAuthorizationToken, which opens the registry before an image is pulled, knows no resources",
        )
        return batch.EcsJobDefinition(
            self,
            stage,
            job_definition_name=f"{Stack.of(self).stack_name}-{stage}",
            container=container,
            timeout=spec.timeout,
            propagate_tags=True,
            retry_attempts=5,
            retry_strategies=[
                batch.RetryStrategy.of(batch.Action.RETRY, reason)
                for reason in (
                    batch.Reason.custom(on_status_reason="Your Spot Task was interrupted*"),
                    batch.Reason.CANNOT_PULL_CONTAINER,
                    batch.Reason.custom(on_exit_code=str(TEMPORARY_FAILURE)),
                )
            ]
            + [batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_reason="*"))],
        )

    def _container_image(self) -> ecs.ContainerImage:
        """The image of the settings, or one that the CDK CLI builds from jobs/Dockerfile at deployment."""
        address = self._settings.image
        if not address:
            return ecs.ContainerImage.from_asset(
                str(ROOT), file="jobs/Dockerfile", platform=ecr_assets.Platform.LINUX_ARM64
            )
        own = re.fullmatch(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)(?::|@)(.+)", address)
        if own is None:
            return ecs.ContainerImage.from_registry(address)
        account, region, repository, tag = own.groups()
        arn = f"arn:{Stack.of(self).partition}:ecr:{region}:{account}:repository/{repository}"
        attributes = ecr.Repository.from_repository_attributes(
            self, "Image", repository_arn=arn, repository_name=repository
        )
        return ecs.ContainerImage.from_ecr_repository(attributes, tag)
