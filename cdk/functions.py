"""The Lambda functions: one table of them and the deployed resources in, functions and their log groups out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from aws_cdk import Duration, RemovalPolicy, Size, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk.bundling import function_code, layer_code
from cdk.grants import (
    EVERYTHING,
    Grant,
    Resource,
    allow,
    environment_of,
    items,
    mail,
    messages,
    objects,
    smtp_login,
    team,
    unsubscribe_key,
)
from cdk.nag import acknowledge
from cdk.settings import Target
from shortlist.contracts.compute import FUNCTION_MEMORY_MIB, FUNCTION_SCRATCH_MIB, FUNCTION_TIMEOUT_S
from shortlist.contracts.keys import SOLD_OUT, RunKeys
from shortlist.contracts.stages import snake

Group = Literal["lambda", "search", "mail", "report"]
ANY_RUN: Final = RunKeys("*")
WHOLE_RUN: Final = (f"{ANY_RUN.root}*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """One function.

    Attributes:
        word: its name; the folder in lambdas/ is the word in snake case.
        group: the dependency group of pyproject.toml that its layer holds.
        scratch_mib: size of /tmp.
        also_told: fields of Environment it needs beside those it has grants for.
    """

    word: str
    group: Group
    memory_mib: int
    timeout_s: int
    scratch_mib: int = 512
    grants: tuple[Grant, ...]
    also_told: tuple[str, ...] = ()


FUNCTIONS: Final = (
    FunctionSpec(word="PlanCompute", group="lambda", memory_mib=512, timeout_s=60, grants=objects(read=WHOLE_RUN)),
    FunctionSpec(
        word="Repackage",
        group="search",
        memory_mib=FUNCTION_MEMORY_MIB,
        timeout_s=FUNCTION_TIMEOUT_S,
        scratch_mib=FUNCTION_SCRATCH_MIB,
        grants=objects(
            read=WHOLE_RUN,
            write=(ANY_RUN.latent("*"), ANY_RUN.manifest("Repackage")),
            delete=(ANY_RUN.latent("*"),),
        ),
    ),
    FunctionSpec(
        word="BuildIndex",
        group="search",
        memory_mib=FUNCTION_MEMORY_MIB,
        timeout_s=FUNCTION_TIMEOUT_S,
        scratch_mib=FUNCTION_SCRATCH_MIB,
        grants=objects(read=WHOLE_RUN, write=(ANY_RUN.index("*"), ANY_RUN.manifest("BuildIndex"))),
    ),
    FunctionSpec(
        word="Evaluate",
        group="lambda",
        memory_mib=512,
        timeout_s=120,
        grants=(
            *objects(read=WHOLE_RUN, write=(ANY_RUN.metrics, ANY_RUN.manifest("Evaluate"))),
            items("runs", "GetItem"),
        ),
    ),
    FunctionSpec(
        word="HoldBack",
        group="lambda",
        memory_mib=512,
        timeout_s=120,
        grants=(*objects(read=WHOLE_RUN), items("runs", "GetItem", "PutItem"), team()),
    ),
    FunctionSpec(
        word="Rank",
        group="search",
        memory_mib=FUNCTION_MEMORY_MIB,
        timeout_s=FUNCTION_TIMEOUT_S,
        scratch_mib=FUNCTION_SCRATCH_MIB,
        grants=objects(
            read=WHOLE_RUN,
            write=(f"{ANY_RUN.topx_prefix}*", ANY_RUN.export("*"), ANY_RUN.manifest("Rank", "*")),
        ),
    ),
    FunctionSpec(
        word="WriteTopX",
        group="lambda",
        memory_mib=1024,
        timeout_s=FUNCTION_TIMEOUT_S,
        grants=(
            *objects(read=WHOLE_RUN, write=(ANY_RUN.manifest("WriteTopX", "*"),)),
            items("recommendations", "BatchWriteItem"),
        ),
    ),
    FunctionSpec(
        word="Publish",
        group="lambda",
        memory_mib=512,
        timeout_s=300,
        grants=(
            *objects(read=WHOLE_RUN, write=(ANY_RUN.manifest("Publish"),)),
            items("runs", "GetItem", "PutItem"),
        ),
    ),
    FunctionSpec(word="PlanMailing", group="lambda", memory_mib=512, timeout_s=300, grants=objects(read=WHOLE_RUN)),
    FunctionSpec(
        word="RequestApproval",
        group="mail",
        memory_mib=1024,
        timeout_s=120,
        grants=(*objects(read=WHOLE_RUN, write=(ANY_RUN.approval("*"),)), team()),
    ),
    FunctionSpec(
        word="SendEmails",
        group="mail",
        memory_mib=1024,
        timeout_s=FUNCTION_TIMEOUT_S,
        grants=(
            *objects(read=(*WHOLE_RUN, SOLD_OUT), write=(ANY_RUN.manifest("SendEmails", "*"), ANY_RUN.outcomes("*"))),
            items("deliveries", "BatchGetItem", "PutItem"),
            items("suppressions", "BatchGetItem"),
            *mail(),
            unsubscribe_key(),
            smtp_login(),
        ),
        also_told=("unsubscribe_url",),
    ),
    FunctionSpec(
        word="Report",
        group="report",
        memory_mib=1024,
        timeout_s=300,
        grants=(
            *objects(read=WHOLE_RUN, write=(ANY_RUN.report_json, ANY_RUN.report_html, ANY_RUN.manifest("Report"))),
            items("runs", "GetItem", "PutItem"),
            items("deliveries", "BatchGetItem"),
            team(),
        ),
    ),
    FunctionSpec(
        word="NotifyFailure",
        group="lambda",
        memory_mib=512,
        timeout_s=60,
        grants=(*objects(read=WHOLE_RUN), items("runs", "GetItem", "PutItem"), team()),
    ),
    FunctionSpec(
        word="Unsubscribe",
        group="mail",
        memory_mib=512,
        timeout_s=10,
        grants=(items("suppressions", "UpdateItem"), items("responses", "UpdateItem"), unsubscribe_key()),
    ),
    FunctionSpec(
        word="MailEvents",
        group="mail",
        memory_mib=512,
        timeout_s=60,
        grants=(
            items("suppressions", "UpdateItem"),
            items("deliveries", "BatchGetItem", "UpdateItem"),
            items("responses", "UpdateItem"),
            messages("mail_events"),
        ),
    ),
)


def grants_of(word: str) -> tuple[Grant, ...]:
    """What a function may do: a job that runs the same stage may do that too."""
    return next(spec.grants for spec in FUNCTIONS if spec.word == word)


CodeOf = Callable[[str, Target], lambda_.Code]


class Functions(Construct):
    """Every function has a role, a log group and an environment of its own; those of one group share a layer.

    Args:
        resources: what grants may name; `unsubscribe_url` is added here, from the function it belongs to.
        code_of: folder and target -> a function's code.
        layer_of: dependency group and target -> a layer's content.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        target: Target,
        resources: Mapping[str, Resource],
        code_of: CodeOf = function_code,
        layer_of: CodeOf = layer_code,
    ) -> None:
        super().__init__(scope, construct_id)
        self._target = target
        self._runtime = lambda_.Runtime(f"python{target.python}", lambda_.RuntimeFamily.PYTHON)
        self._architecture = lambda_.Architecture.ARM_64 if target.machine == "arm64" else lambda_.Architecture.X86_64
        self._code_of = code_of
        self._layers = {group: self._layer(group, layer_of) for group in sorted({spec.group for spec in FUNCTIONS})}
        self._resources = {**resources, "everything": EVERYTHING}
        specs = {spec.word: spec for spec in FUNCTIONS}
        unsubscribe = self._function(specs.pop("Unsubscribe"))
        # A mail client presses the button without signing in to anything: the link's signature is the authentication.
        self.unsubscribe_url = unsubscribe.add_function_url(auth_type=lambda_.FunctionUrlAuthType.NONE).url
        self._resources["unsubscribe_url"] = Resource([], self.unsubscribe_url)
        self.by_word = {"Unsubscribe": unsubscribe} | {word: self._function(spec) for word, spec in specs.items()}

    def _layer(self, group: str, layer_of: CodeOf) -> lambda_.LayerVersion:
        """The dependencies of a group. New content is a new version; the old one goes once no function names it."""
        return lambda_.LayerVersion(
            self,
            f"{group.capitalize()}Layer",
            layer_version_name=f"{Stack.of(self).stack_name}-{group}",
            description=f"Dependencies locked in requirements/{group}.txt",
            code=layer_of(group, self._target),
            compatible_runtimes=[self._runtime],
            compatible_architectures=[self._architecture],
            removal_policy=RemovalPolicy.DESTROY,
        )

    def _function(self, spec: FunctionSpec) -> lambda_.Function:
        name = f"{Stack.of(self).stack_name}-{spec.word}"
        role = iam.Role(self, f"{spec.word}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group = logs.LogGroup(
            self,
            f"{spec.word}Logs",
            log_group_name=f"/aws/lambda/{name}",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        log_group.grant_write(role)
        allow(role, spec.grants, self._resources)
        acknowledge(role, "IAM5[Resource::*]", _EVERYTHING_REASON)
        local = self._target.name == "local"
        function = lambda_.Function(
            self,
            spec.word,
            function_name=name,
            runtime=self._runtime,
            architecture=self._architecture,
            handler="handler.handler",
            code=self._code_of(snake(spec.word), self._target),
            layers=[self._layers[spec.group]],
            memory_size=spec.memory_mib,
            timeout=Duration.seconds(spec.timeout_s),
            ephemeral_storage_size=Size.mebibytes(spec.scratch_mib),
            role=role,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE,
            environment=environment_of(spec.grants, spec.also_told, self._resources)
            | ({"POWERTOOLS_TRACE_DISABLED": "true"} if local else {}),
        )
        acknowledge(function, "L1", _RUNTIME_REASON)
        return function


_EVERYTHING_REASON: Final = (
    "xray:PutTraceSegments, xray:PutTelemetryRecords and, for SendEmails, ses:GetAccount know no resources"
)
_RUNTIME_REASON: Final = (
    "the newest runtime whose wheels the lock has been installed and tested with; "
    "docs/deploy.md says how to move to the next"
)
