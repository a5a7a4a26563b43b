"""What the template promises, by name; the whole of it against a committed snapshot; and cfn-lint's opinion."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdk.functions import FUNCTIONS
from shortlist.contracts.deployment import HELD_BACK_METRIC, METRIC_NAMESPACE, OUTPUTS
from shortlist.contracts.records import DELIVERIES_KEY, RECOMMENDATIONS_KEY, RUNS_KEY, SUPPRESSIONS_KEY
from shortlist.contracts.stages import BATCH_STAGES, GROWING_STAGES, LAMBDA_STAGES

Json = dict[str, Any]
OfType = Callable[[str], dict[str, Json]]

SNAPSHOT = Path(__file__).parent / "snapshot" / "Shortlist.template.json"
RENEW = "SHORTLIST_RENEW_SNAPSHOT"


def properties(resources: dict[str, Json]) -> list[Json]:
    return [resource["Properties"] for resource in resources.values()]


def by_property(resources: dict[str, Json], name: str) -> dict[str, Json]:
    return {p[name]: p for p in properties(resources)}


def without_hashes(template: Json) -> Json:
    """Code and lock files change the hashes of assets; the snapshot is of everything else."""
    return json.loads(re.sub(r"[0-9a-f]{64}", "<hash>", json.dumps(template)))


def test_the_template_is_the_committed_one(template: Json) -> None:
    found = without_hashes(template)
    if os.environ.get(RENEW):
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    committed = json.loads(SNAPSHOT.read_text())

    assert found == committed, f"look at the difference; if it is meant, `{RENEW}=1 make test` writes the snapshot anew"


def test_cfn_lint_finds_nothing(assembly: Path) -> None:
    done = cfn_lint(assembly / "Shortlist.template.json")

    assert done.returncode == 0, done.stdout


def test_cfn_lint_sees_a_planted_fault(of_type: OfType, tmp_path: Path) -> None:
    name, queue = next(iter(of_type("AWS::SQS::Queue").items()))
    planted = {**queue, "Properties": {**queue["Properties"], "Delay": 3}}
    path = tmp_path / "planted.template.json"
    path.write_text(json.dumps({"Resources": {name: planted}}))

    done = cfn_lint(path)

    assert done.returncode != 0
    assert "'Delay' was unexpected" in done.stdout


def cfn_lint(path: Path) -> subprocess.CompletedProcess[str]:
    """W3005 is about a DependsOn beside a GetAtt, which CDK writes for every role."""
    command = [Path(sys.executable).with_name("cfn-lint"), "--ignore-checks", "W3005", "--template", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "kind", ["AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::KMS::Key", "AWS::CloudFormation::CustomResource"]
)
def test_nothing_costs_while_nothing_runs_and_nothing_needs_a_deployment_function(of_type: OfType, kind: str) -> None:
    assert of_type(kind) == {}


def test_buckets_are_encrypted_private_and_reached_over_tls_only(of_type: OfType) -> None:
    buckets, policies = of_type("AWS::S3::Bucket"), properties(of_type("AWS::S3::BucketPolicy"))

    for bucket in properties(buckets):
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert {policy["Bucket"]["Ref"] for policy in policies} == set(buckets)
    for policy in policies:
        assert denies_plain_http(policy["PolicyDocument"])


@pytest.mark.parametrize("kind", ["AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"])
def test_topics_and_queues_are_reached_over_tls_only(of_type: OfType, kind: str) -> None:
    guarded = of_type(kind)

    assert len(guarded) == len(of_type(kind.removesuffix("Policy")))
    assert all(denies_plain_http(policy["PolicyDocument"]) for policy in properties(guarded))


def denies_plain_http(document: Json) -> bool:
    return any(
        s["Effect"] == "Deny" and s.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for s in document["Statement"]
    )


def test_runs_expire_inputs_do_not_and_broken_uploads_are_swept(of_type: OfType) -> None:
    [data] = [b for b in properties(of_type("AWS::S3::Bucket")) if "VersioningConfiguration" in b]

    rules = data["LifecycleConfiguration"]["Rules"]

    assert [(r["Prefix"], r["ExpirationInDays"]) for r in rules if "ExpirationInDays" in r] == [("runs/", 90)]
    assert any(r.get("AbortIncompleteMultipartUpload") == {"DaysAfterInitiation": 2} for r in rules)
    assert any(r.get("NoncurrentVersionExpiration") == {"NoncurrentDays": 7} for r in rules)


def test_tables_are_on_demand_recoverable_protected_and_forget(of_type: OfType) -> None:
    tables = of_type("AWS::DynamoDB::Table")

    for table in tables.values():
        said = table["Properties"]
        assert said["BillingMode"] == "PAY_PER_REQUEST"
        assert said["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert said["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
        assert said["DeletionProtectionEnabled"] is True
        assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_tables_have_the_contracts_keys(template: Json) -> None:
    keys = {
        "RecommendationsTableName": RECOMMENDATIONS_KEY,
        "RunsTableName": RUNS_KEY,
        "DeliveriesTableName": DELIVERIES_KEY,
        "SuppressionsTableName": SUPPRESSIONS_KEY,
    }

    tables = {name: template["Resources"][template["Outputs"][name]["Value"]["Ref"]] for name in keys}

    found = {n: tuple(k["AttributeName"] for k in t["Properties"]["KeySchema"]) for n, t in tables.items()}
    assert found == keys


def test_jobs_run_on_spot_first_with_on_demand_behind(template: Json, of_type: OfType) -> None:
    [queue] = properties(of_type("AWS::Batch::JobQueue"))

    ordered = sorted(queue["ComputeEnvironmentOrder"], key=lambda entry: entry["Order"])

    environments = [template["Resources"][e["ComputeEnvironment"]["Fn::GetAtt"][0]] for e in ordered]
    assert [e["Properties"]["ComputeResources"]["Type"] for e in environments] == ["FARGATE_SPOT", "FARGATE"]


def test_jobs_are_tried_again_when_reclaimed_and_not_when_their_data_is_bad(of_type: OfType) -> None:
    definitions = by_property(of_type("AWS::Batch::JobDefinition"), "JobDefinitionName")

    assert set(definitions) == {f"Shortlist-{stage}" for stage in BATCH_STAGES}
    for definition in definitions.values():
        *again, last = definition["RetryStrategy"]["EvaluateOnExit"]
        assert {"Action": "RETRY", "OnStatusReason": "Your Spot Task was interrupted*"} in again
        assert {"Action": "RETRY", "OnExitCode": "75"} in again
        assert last == {"Action": "EXIT", "OnReason": "*"}
        assert definition["RetryStrategy"]["Attempts"] > 1
        assert definition["Timeout"]["AttemptDurationSeconds"] > 0


@pytest.mark.parametrize("stage", GROWING_STAGES)
def test_a_stage_that_has_outgrown_its_function_may_do_as_a_job_what_the_function_may(
    of_type: OfType, template: Json, stage: str
) -> None:
    job = by_property(of_type("AWS::Batch::JobDefinition"), "JobDefinitionName")[f"Shortlist-{stage}"]
    function = by_property(of_type("AWS::Lambda::Function"), "FunctionName")[f"Shortlist-{stage}"]

    def granted(role: Json, action: str) -> set[str]:
        name = role["Fn::GetAtt"][0]
        policies = [p for p in properties(of_type("AWS::IAM::Policy")) if {"Ref": name} in p["Roles"]]
        statements = [s for policy in policies for s in policy["PolicyDocument"]["Statement"]]
        found = [s["Resource"] for s in statements if action in json.dumps(s["Action"])]
        return {json.dumps(one) for said in found for one in (said if isinstance(said, list) else [said])}

    container = job["ContainerProperties"]
    for action in ("s3:GetObject", "s3:ListBucket"):
        assert granted(container["JobRoleArn"], action) == granted(function["Role"], action) != set()
    more = granted(container["JobRoleArn"], "s3:PutObject") - granted(function["Role"], "s3:PutObject")
    assert ["failures/" in one for one in more] == [True]
    assert {n["Type"]: int(n["Value"]) for n in container["ResourceRequirements"]}["VCPU"] >= 2
    logged = container["LogConfiguration"]["Options"]["awslogs-group"]["Ref"]
    assert template["Resources"][logged]["Properties"]["RetentionInDays"] == 30


def test_jobs_take_no_connection(of_type: OfType) -> None:
    groups = properties(of_type("AWS::EC2::SecurityGroup"))

    assert [group.get("SecurityGroupIngress", []) for group in groups] == [[]]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in groups[0]["SecurityGroupEgress"]] == [(443, 443)]


def test_every_function_has_its_log_group_its_role_and_a_trace(of_type: OfType) -> None:
    functions = by_property(of_type("AWS::Lambda::Function"), "FunctionName")
    logs = by_property(of_type("AWS::Logs::LogGroup"), "LogGroupName")

    assert set(functions) == {f"Shortlist-{word}" for word in (*LAMBDA_STAGES, "Unsubscribe", "MailEvents")}
    assert len({json.dumps(function["Role"]) for function in functions.values()}) == len(functions)
    for name, function in functions.items():
        assert logs[f"/aws/lambda/{name}"]["RetentionInDays"] == 30
        assert function["Architectures"] == ["arm64"]
        assert function["Runtime"] == "python3.13"
        assert function["TracingConfig"] == {"Mode": "Active"}


def test_every_function_has_the_layer_of_its_dependencies(of_type: OfType) -> None:
    functions = by_property(of_type("AWS::Lambda::Function"), "FunctionName")
    layers = of_type("AWS::Lambda::LayerVersion")

    named = {
        name: [layers[layer["Ref"]]["Properties"]["LayerName"] for layer in function["Layers"]]
        for name, function in functions.items()
    }
    assert named == {f"Shortlist-{spec.word}": [f"Shortlist-{spec.group}"] for spec in FUNCTIONS}
    assert len(layers) == len({spec.group for spec in FUNCTIONS})


def test_a_layer_says_what_it_is_for_and_goes_when_it_is_replaced(of_type: OfType) -> None:
    layers = list(of_type("AWS::Lambda::LayerVersion").values())

    assert {json.dumps(layer["Properties"]["CompatibleRuntimes"]) for layer in layers} == {'["python3.13"]'}
    assert {json.dumps(layer["Properties"]["CompatibleArchitectures"]) for layer in layers} == {'["arm64"]'}
    assert {layer["DeletionPolicy"] for layer in layers} == {"Delete"}


def test_only_the_unsubscribe_page_is_open_to_everybody(of_type: OfType) -> None:
    [url] = properties(of_type("AWS::Lambda::Url"))
    open_to_all = [p for p in properties(of_type("AWS::Lambda::Permission")) if p["Principal"] == "*"]

    assert url["AuthType"] == "NONE"
    assert {p["FunctionName"]["Fn::GetAtt"][0] for p in open_to_all} == {url["TargetFunctionArn"]["Fn::GetAtt"][0]}


def test_the_machine_logs_everything_and_is_traced(of_type: OfType) -> None:
    [machine] = properties(of_type("AWS::StepFunctions::StateMachine"))

    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["TracingConfiguration"] == {"Enabled": True}


def test_every_campaign_with_a_schedule_has_one_in_its_time_zone(of_type: OfType) -> None:
    schedules = by_property(of_type("AWS::Scheduler::Schedule"), "Name")

    assert set(schedules) == {"weekly-picks", "buy-again"}
    weekly, again = schedules["weekly-picks"], schedules["buy-again"]
    assert weekly["ScheduleExpression"] == "cron(0 6 ? * MON *)"
    assert weekly["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert weekly["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert (weekly["State"], again["State"]) == ("ENABLED", "DISABLED")
    assert again["FlexibleTimeWindow"] == {"Mode": "OFF"}


def test_a_schedule_names_its_campaign_and_its_time_and_does_not_give_up_at_once(of_type: OfType) -> None:
    target = by_property(of_type("AWS::Scheduler::Schedule"), "Name")["weekly-picks"]["Target"]

    assert json.loads(target["Input"]) == {"campaign": "weekly-picks", "scheduled": "<aws.scheduler.scheduled-time>"}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 7200, "MaximumRetryAttempts": 10}
    assert target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0] in of_type("AWS::SQS::Queue")


def test_mail_goes_out_encrypted_and_its_fate_comes_back(of_type: OfType) -> None:
    [configuration_set] = properties(of_type("AWS::SES::ConfigurationSet"))
    [destination] = properties(of_type("AWS::SES::ConfigurationSetEventDestination"))
    identities = by_property(of_type("AWS::SES::EmailIdentity"), "EmailIdentity")

    assert configuration_set["DeliveryOptions"] == {"TlsPolicy": "REQUIRE"}
    assert set(destination["EventDestination"]["MatchingEventTypes"]) == {
        *("delivery", "bounce", "complaint", "reject"),
        *("open", "click"),
    }
    assert set(identities) == {"picks@shop.example", "again@other.example"}


def test_events_of_messages_are_handled_in_batches_and_kept_where_that_fails(of_type: OfType) -> None:
    [mapping] = properties(of_type("AWS::Lambda::EventSourceMapping"))
    [subscription] = [s for s in properties(of_type("AWS::SNS::Subscription")) if s["Protocol"] == "sqs"]
    queues = of_type("AWS::SQS::Queue")
    queue = queues[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
    function = of_type("AWS::Lambda::Function")[mapping["FunctionName"]["Ref"]]["Properties"]

    assert function["FunctionName"] == "Shortlist-MailEvents"
    assert subscription["Endpoint"] == mapping["EventSourceArn"]
    assert (mapping["BatchSize"], mapping["FunctionResponseTypes"]) == (100, ["ReportBatchItemFailures"])
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"] + mapping["MaximumBatchingWindowInSeconds"]
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == subscription["RedrivePolicy"]["deadLetterTargetArn"]


def test_everything_that_goes_wrong_reaches_the_team(of_type: OfType, template: Json) -> None:
    alarms = by_property(of_type("AWS::CloudWatch::Alarm"), "AlarmName")
    topic = template["Outputs"]["TopicArn"]["Value"]

    words = ("FailedRun", "MissedRun", "HeldBackModel", "BounceRate", "ComplaintRate", "MissedStart", "LostMailEvent")
    assert set(alarms) == {f"Shortlist-{word}" for word in words}
    assert all(alarm["AlarmActions"] == [topic] for alarm in alarms.values())


def test_a_week_without_a_run_is_an_alarm(of_type: OfType) -> None:
    missed = by_property(of_type("AWS::CloudWatch::Alarm"), "AlarmName")["Shortlist-MissedRun"]

    assert missed["Period"] * missed["EvaluationPeriods"] == 7 * 24 * 3600
    assert missed["TreatMissingData"] == "breaching"


def test_the_held_back_alarm_watches_the_metric_that_is_sent(of_type: OfType) -> None:
    alarm = by_property(of_type("AWS::CloudWatch::Alarm"), "AlarmName")["Shortlist-HeldBackModel"]

    assert (alarm["Namespace"], alarm["MetricName"]) == (METRIC_NAMESPACE, HELD_BACK_METRIC)
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "HoldBack"}]


@pytest.mark.parametrize("service", ["cloudwatch", "budgets"])
def test_the_teams_topic_lets_alarms_and_budget_in(of_type: OfType, template: Json, service: str) -> None:
    topic = template["Outputs"]["TopicArn"]["Value"]
    [policy] = [p for p in properties(of_type("AWS::SNS::TopicPolicy")) if p["Topics"] == [topic]]

    statements = policy["PolicyDocument"]["Statement"]

    [allowed] = [s for s in statements if s["Principal"] == {"Service": f"{service}.amazonaws.com"}]
    assert (allowed["Effect"], allowed["Action"]) == ("Allow", "sns:Publish")
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_the_budget_tells_the_team(of_type: OfType, template: Json) -> None:
    [budget] = properties(of_type("AWS::Budgets::Budget"))

    assert budget["Budget"]["BudgetLimit"] == {"Amount": 50, "Unit": "USD"}
    for notification in budget["NotificationsWithSubscribers"]:
        assert notification["Subscribers"][0]["Address"] == template["Outputs"]["TopicArn"]["Value"]


def test_the_command_line_finds_what_it_looks_up(template: Json) -> None:
    assert set(OUTPUTS.values()) | {"UnsubscribeUrl", "DashboardUrl"} == set(template["Outputs"])


@pytest.mark.parametrize("kind", ["AWS::S3::Bucket", "AWS::Lambda::Function", "AWS::StepFunctions::StateMachine"])
def test_what_costs_is_tagged(of_type: OfType, kind: str) -> None:
    assert all({"Key": "project", "Value": "shortlist"} in said["Tags"] for said in properties(of_type(kind)))
