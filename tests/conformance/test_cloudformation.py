"""CloudFormation as AWS applies templates: each case brings a small stack from one template to the next."""

import json
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.cloudformation.resources import KINDS, NO_OPS
from tests.conformance.kit import policy as policy_of

ENDED = ("_COMPLETE", "_FAILED")


@pytest.fixture
def stack(aws, request):
    """The stack of one test; deletes it afterwards."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:100].partition("[")[0]
    yield Stack(aws, name)
    aws.client("cloudformation").delete_stack(StackName=name)


class Stack:
    def __init__(self, aws, name):
        self.client = aws.client("cloudformation")
        self.name = name

    def create(self, resources, **template):
        settings = {k: template.pop(k) for k in ("Parameters_", "DisableRollback") if k in template}
        body = json.dumps({"Resources": resources, **template})
        parameters = settings.pop("Parameters_", [])
        self.id = self.client.create_stack(StackName=self.name, TemplateBody=body, Parameters=parameters, **settings)[
            "StackId"
        ]
        return self.ended()

    def update(self, resources, **template):
        self.client.update_stack(StackName=self.name, TemplateBody=json.dumps({"Resources": resources, **template}))
        return self.ended()

    def delete(self):
        self.client.delete_stack(StackName=self.name)
        return self.ended()

    def ended(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            status = self.client.describe_stacks(StackName=self.id)["Stacks"][0]["StackStatus"]
            if status.endswith(ENDED) and "CLEANUP" not in status:
                return status
            time.sleep(0.02)
        raise AssertionError(status)

    def outputs(self):
        stack = self.client.describe_stacks(StackName=self.id)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def resource(self, logical_id):
        detail = self.client.describe_stack_resource(StackName=self.id, LogicalResourceId=logical_id)
        return detail["StackResourceDetail"]["PhysicalResourceId"]

    def events(self, logical_id):
        events = self.client.describe_stack_events(StackName=self.id)["StackEvents"]
        return [e["ResourceStatus"] for e in reversed(events) if e["LogicalResourceId"] == logical_id]

    def reason(self, logical_id):
        events = self.client.describe_stack_events(StackName=self.id)["StackEvents"]
        return next(
            e["ResourceStatusReason"]
            for e in events
            if e["LogicalResourceId"] == logical_id and "FAILED" in e["ResourceStatus"]
        )


def table(**properties):
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            **properties,
        },
    }


def parameter(value="v", **more):
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}, **more}


def value_of(aws, stack, logical_id):
    return aws.client("ssm").get_parameter(Name=stack.resource(logical_id))["Parameter"]["Value"]


BROKEN = {
    "Type": "AWS::SNS::Subscription",
    "Properties": {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:none", "Protocol": "sqs", "Endpoint": "x"},
}


def test_a_type_that_is_not_emulated_refuses_the_stack_by_name_and_place(aws, stack):
    with pytest.raises(ClientError, match=r"AWS::Neptune::DBCluster \(Graph\)"):
        stack.create({"Good": parameter(), "Graph": {"Type": "AWS::Neptune::DBCluster"}})

    with pytest.raises(ClientError, match="does not exist"):  # nothing was touched
        stack.client.describe_stacks(StackName=stack.name)


def test_a_type_that_needs_nothing_says_why(stack):
    stack.create({"Metadata": {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": "v2"}}})

    events = stack.client.describe_stack_events(StackName=stack.id)["StackEvents"]
    told = next(e for e in events if e["LogicalResourceId"] == "Metadata" and e["ResourceStatus"] == "CREATE_COMPLETE")
    assert told["ResourceStatusReason"] == f"Not emulated: {NO_OPS['AWS::CDK::Metadata']}"


def test_every_type_is_made_or_has_a_reason_and_never_both():
    assert not KINDS.keys() & NO_OPS.keys()
    assert all(len(reason) > 20 for reason in NO_OPS.values())


def test_resources_are_made_in_the_order_of_their_needs(stack):
    status = stack.create(
        {
            "C": parameter({"Fn::Sub": "${B}-${A.Value}"}),
            "B": parameter("b", DependsOn=["A"]),
            "A": parameter("a"),
        }
    )

    made = [
        e["LogicalResourceId"]
        for e in reversed(stack.client.describe_stack_events(StackName=stack.id)["StackEvents"])
        if e["ResourceStatus"] == "CREATE_COMPLETE" and e["ResourceType"] == "AWS::SSM::Parameter"
    ]
    assert (status, made) == ("CREATE_COMPLETE", ["A", "B", "C"])


def test_a_circle_of_needs_is_refused(stack):
    with pytest.raises(ClientError, match="Circular dependency"):
        stack.create({"A": parameter({"Ref": "B"}), "B": parameter({"Ref": "A"})})


def test_a_name_that_stands_for_nothing_is_refused(stack):
    with pytest.raises(ClientError, match=r"Unresolved resource dependencies \['Nothing'\]"):
        stack.create({"A": parameter({"Fn::Sub": "${Nothing.Arn}"})})


FUNCTIONS = [
    ({"Fn::Join": ["-", ["a", {"Ref": "AWS::Region"}]]}, "a-eu-west-1"),
    ({"Fn::Sub": "${AWS::AccountId}:${!Literal}:${P}"}, "123456789012:${Literal}:given"),
    ({"Fn::Sub": ["${x}/${P}", {"x": {"Ref": "AWS::Partition"}}]}, "aws/given"),
    ({"Fn::Select": ["1", {"Fn::Split": [",", "a,b,c"]}]}, "b"),
    ({"Fn::If": ["Yes", "then", "else"]}, "then"),
    ({"Fn::If": ["No", "then", "else"]}, "else"),
    ({"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, "k"]}, "mapped"),
    ({"Fn::Base64": "x"}, "eA=="),
    ({"Fn::GetAtt": ["Other", "Value"]}, "other"),
    ({"Fn::GetAtt": "Other.Type"}, "String"),
    ({"Fn::ToJsonString": {"a": [1, {"Ref": "P"}]}}, '{"a": [1, "given"]}'),
    ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "eu-west-1a"),
    ({"Fn::Select": [2, {"Fn::Cidr": ["10.0.0.0/16", 3, 8]}]}, "10.0.2.0/24"),
    ("{{resolve:ssm:/resolved}}", "from-ssm"),
]


def test_functions_have_their_values(aws, stack):
    aws.client("ssm").put_parameter(Name="/resolved", Value="from-ssm", Type="String")
    resources = {f"R{number}": parameter(expression) for number, (expression, _) in enumerate(FUNCTIONS)}

    stack.create(
        {**resources, "Other": parameter("other"), "Left": parameter("x", Condition="No")},
        Parameters={"P": {"Type": "String"}},
        Parameters_=[{"ParameterKey": "P", "ParameterValue": "given"}],
        Conditions={"Yes": {"Fn::Equals": [{"Ref": "P"}, "given"]}, "No": {"Fn::Not": [{"Condition": "Yes"}]}},
        Mappings={"M": {"eu-west-1": {"k": "mapped"}}},
    )

    found = [value_of(aws, stack, f"R{number}") for number in range(len(FUNCTIONS))]
    assert found == [value for _, value in FUNCTIONS]
    with pytest.raises(ClientError):
        stack.resource("Left")


def test_a_template_in_yaml_has_short_forms(aws, stack):
    body = """
Resources:
  A: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !Sub "${AWS::Region}!"}}
  B: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !GetAtt A.Value}}
Outputs:
  Both: {Value: !Join ["/", [!GetAtt A.Value, !GetAtt B.Value]]}
"""
    stack.id = stack.client.create_stack(StackName=stack.name, TemplateBody=body)["StackId"]

    assert stack.ended() == "CREATE_COMPLETE"
    assert stack.outputs() == {"Both": "eu-west-1!/eu-west-1!"}


def test_a_failed_resource_rolls_the_stack_back(aws, stack):
    status = stack.create({"Good": table(TableName="rolled-back"), "Bad": {**BROKEN, "DependsOn": ["Good"]}})

    assert status == "ROLLBACK_COMPLETE"
    assert stack.events("Good")[-1] == "DELETE_COMPLETE"
    assert "NotFound" in stack.reason("Bad")
    assert "rolled-back" not in aws.client("dynamodb").list_tables()["TableNames"]


def test_without_rollback_what_was_made_stays(aws, stack):
    resources = {"Good": parameter(Properties={"Name": "/stays", "Type": "String", "Value": "v"})}

    status = stack.create({**resources, "Bad": {**BROKEN, "DependsOn": ["Good"]}}, DisableRollback=True)

    assert status == "CREATE_FAILED"
    assert aws.client("ssm").get_parameter(Name="/stays")


def test_the_same_template_again_is_no_update(stack):
    stack.create({"A": parameter()})

    with pytest.raises(ClientError, match="No updates are to be performed"):
        stack.update({"A": parameter()})


def test_a_change_in_place_keeps_the_resource_and_its_data(aws, stack):
    stack.create({"T": table()})
    name = stack.resource("T")
    aws.client("dynamodb").put_item(TableName=name, Item={"pk": {"S": "kept"}})

    status = stack.update({"T": table(TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": True})})

    assert (status, stack.resource("T")) == ("UPDATE_COMPLETE", name)
    assert aws.client("dynamodb").scan(TableName=name)["Count"] == 1
    expiry = aws.client("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert expiry["AttributeName"] == "expires_at"


def test_a_change_of_what_is_fixed_replaces_the_resource_and_its_users_follow(aws, stack):
    user = parameter({"Fn::GetAtt": ["T", "Arn"]})
    stack.create({"T": table(), "User": user})
    before = stack.resource("T")

    stack.update(
        {
            "T": table(
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            ),
            "User": user,
        }
    )

    after = stack.resource("T")
    assert before != after
    assert value_of(aws, stack, "User").endswith(after)
    assert before not in aws.client("dynamodb").list_tables()["TableNames"]


def test_what_the_new_template_leaves_out_is_removed(aws, stack):
    stack.create({"A": parameter(), "B": parameter()})
    gone = stack.resource("B")

    stack.update({"A": parameter()})

    with pytest.raises(aws.client("ssm").exceptions.ParameterNotFound):
        aws.client("ssm").get_parameter(Name=gone)


def test_a_failed_update_leaves_everything_as_it_was(aws, stack):
    stack.create({"A": parameter("before")})

    status = stack.update(
        {"A": parameter("after"), "New": table(TableName="brief"), "Bad": {**BROKEN, "DependsOn": ["A", "New"]}}
    )

    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert value_of(aws, stack, "A") == "before"
    assert "brief" not in aws.client("dynamodb").list_tables()["TableNames"]
    assert stack.update({"A": parameter("after")}) == "UPDATE_COMPLETE"


def test_what_is_to_be_retained_outlives_its_stack(aws, stack):
    stack.create({"T": {**table(TableName="retained"), "DeletionPolicy": "Retain"}, "A": parameter()})

    assert stack.delete() == "DELETE_COMPLETE"

    assert "retained" in aws.client("dynamodb").list_tables()["TableNames"]
    assert stack.events("T")[-1] == "DELETE_SKIPPED"


def test_a_bucket_with_objects_keeps_its_stack_from_being_deleted(aws, stack):
    stack.create({"B": {"Type": "AWS::S3::Bucket"}})
    bucket = stack.resource("B")
    aws.client("s3").put_object(Bucket=bucket, Key="k", Body=b"")

    assert stack.delete() == "DELETE_FAILED"
    assert "BucketNotEmpty" in stack.reason("B")

    aws.client("s3").delete_object(Bucket=bucket, Key="k")
    assert stack.delete() == "DELETE_COMPLETE"


def test_termination_protection_protects(stack):
    stack.create({"A": parameter()})
    stack.client.update_termination_protection(StackName=stack.name, EnableTerminationProtection=True)

    with pytest.raises(ClientError, match="TerminationProtection"):
        stack.client.delete_stack(StackName=stack.name)

    stack.client.update_termination_protection(StackName=stack.name, EnableTerminationProtection=False)


def test_an_export_is_imported_by_another_stack(aws, stack):
    stack.create(
        {"A": parameter("shared")},
        Outputs={"O": {"Value": {"Fn::GetAtt": ["A", "Value"]}, "Export": {"Name": "shared-value"}}},
    )
    importer = Stack(aws, "importer")

    importer.create({"I": parameter({"Fn::ImportValue": "shared-value"})})

    assert value_of(aws, importer, "I") == "shared"
    importer.delete()


def test_a_missing_parameter_is_told(stack):
    with pytest.raises(ClientError, match=r"\['P'\] must have values"):
        stack.create({"A": parameter({"Ref": "P"})}, Parameters={"P": {"Type": "String"}})


def test_a_change_set_tells_what_would_change_and_changes_nothing(aws, stack):
    stack.create({"A": parameter("1"), "B": parameter()})
    body = json.dumps({"Resources": {"A": parameter("2"), "C": parameter()}})

    stack.client.create_change_set(StackName=stack.name, ChangeSetName="next", TemplateBody=body)
    changes = stack.client.describe_change_set(StackName=stack.name, ChangeSetName="next")["Changes"]

    told = {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"]["Action"] for c in changes}
    assert told == {"A": "Modify", "B": "Remove", "C": "Add"}
    assert value_of(aws, stack, "A") == "1"

    stack.client.execute_change_set(StackName=stack.name, ChangeSetName="next")
    assert stack.ended() == "UPDATE_COMPLETE"
    assert value_of(aws, stack, "A") == "2"


def test_a_change_set_without_changes_fails_with_the_words_that_the_cdk_looks_for(stack):
    stack.create({"A": parameter()})
    body = json.dumps({"Resources": {"A": parameter()}})

    stack.client.create_change_set(StackName=stack.name, ChangeSetName="same", TemplateBody=body)
    described = stack.client.describe_change_set(StackName=stack.name, ChangeSetName="same")

    assert described["Status"] == "FAILED"
    assert described["StatusReason"].startswith("The submitted information didn't contain changes.")


def test_a_secret_is_generated_once(aws, stack):
    wish = {"SecretStringTemplate": '{"user": "a"}', "GenerateStringKey": "password", "PasswordLength": 20}
    secret = {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": wish}}
    stack.create({"S": secret})
    read = lambda: aws.client("secretsmanager").get_secret_value(SecretId=stack.resource("S"))["SecretString"]  # noqa: E731
    before = json.loads(read())

    changed = {**secret, "Properties": {**secret["Properties"], "Description": "new"}}
    stack.update({"S": changed})

    assert (before["user"], len(before["password"])) == ("a", 20)
    assert json.loads(read()) == before


def test_a_function_runs_the_source_that_stands_in_the_template(aws, stack):
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"ZipFile": "def handler(event, context): return 1"},
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        },
    }
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}
    stack.create({"F": function, "Role": role})
    run = lambda: json.load(aws.client("lambda").invoke(FunctionName=stack.resource("F"))["Payload"])  # noqa: E731
    assert run() == 1

    function["Properties"]["Code"] = {"ZipFile": "def handler(event, context): return 2"}
    stack.update({"F": function, "Role": role})

    assert run() == 2


def test_a_mapping_of_a_queue_is_changed_in_place_and_goes_with_its_stack(aws, stack):
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    take = {"Effect": "Allow", "Action": "sqs:*", "Resource": {"Fn::GetAtt": ["Queue", "Arn"]}}
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 30}},
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": trust,
                "Policies": [{"PolicyName": "take", "PolicyDocument": {"Version": "2012-10-17", "Statement": [take]}}],
            },
        },
        "F": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Code": {"ZipFile": "def handler(event, context): return None"},
                "Handler": "index.handler",
                "Runtime": "python3.13",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            },
        },
    }

    def mapping(**properties):
        given = {"EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}, "FunctionName": {"Ref": "F"}, **properties}
        return {**resources, "M": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": given}}

    stack.create(mapping(BatchSize=100, MaximumBatchingWindowInSeconds=5))
    uuid = stack.resource("M")
    assert stack.update(mapping(FunctionResponseTypes=["ReportBatchItemFailures"])) == "UPDATE_COMPLETE"

    changed = aws.client("lambda").get_event_source_mapping(UUID=uuid)
    assert stack.resource("M") == uuid
    assert (changed["BatchSize"], changed["MaximumBatchingWindowInSeconds"]) == (10, 0)
    assert changed["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert stack.update(mapping(BatchSize=11)) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.delete() == "DELETE_COMPLETE"
    assert aws.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []


def test_an_inline_policy_moves_with_its_roles(aws, stack):
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}
    statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}

    def policy(*roles):
        properties = {
            "PolicyName": "p",
            "PolicyDocument": json.loads(policy_of(statement)),
            "Roles": [{"Ref": r} for r in roles],
        }
        return {"Type": "AWS::IAM::Policy", "Properties": properties}

    stack.create({"A": role, "B": role, "P": policy("A")})
    stack.update({"A": role, "B": role, "P": policy("B")})

    names = [aws.client("iam").list_role_policies(RoleName=stack.resource(r))["PolicyNames"] for r in ("A", "B")]
    assert names == [[], ["p"]]


def test_a_job_definition_gets_a_new_revision(stack):
    def definition(memory):
        needs = [{"Type": "VCPU", "Value": "1"}, {"Type": "MEMORY", "Value": memory}]
        container = {"Image": "app", "Command": ["python"], "ResourceRequirements": needs}
        return {
            "Type": "AWS::Batch::JobDefinition",
            "Properties": {"Type": "container", "PlatformCapabilities": ["FARGATE"], "ContainerProperties": container},
        }

    stack.create({"J": definition("2048")})
    first = stack.resource("J")
    stack.update({"J": definition("4096")})

    assert first.endswith(":1")
    assert stack.resource("J") == first[:-1] + "2"
    assert stack.update({"J": definition("5000")}) == "UPDATE_ROLLBACK_COMPLETE"


def test_lifecycle_encryption_and_versions_of_a_bucket_are_set(aws, stack):
    rule = {"Id": "runs", "Prefix": "runs/", "Status": "Enabled", "ExpirationInDays": 60}
    encryption = {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    stack.create(
        {
            "B": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "LifecycleConfiguration": {"Rules": [rule]},
                    "BucketEncryption": encryption,
                    "VersioningConfiguration": {"Status": "Enabled"},
                },
            }
        }
    )

    s3, bucket = aws.client("s3"), stack.resource("B")
    lifecycle = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]
    assert (lifecycle["ID"], lifecycle["Expiration"]["Days"]) == ("runs", 60)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    algorithm = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert algorithm["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_a_state_machine_gets_its_substitutions(aws, stack):
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    definition = '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "${Word}", "End": true}}}'
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "DefinitionString": definition,
            "DefinitionSubstitutions": {"Word": 'a "quoted" word'},
            "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
        },
    }
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}

    assert stack.create({"M": machine, "Role": role}) == "CREATE_COMPLETE"

    found = aws.client("stepfunctions").describe_state_machine(stateMachineArn=stack.resource("M"))["definition"]
    assert json.loads(found)["States"]["A"]["Result"] == 'a "quoted" word'


def test_every_type_is_on_the_page_with_its_reason():
    page = (Path(__file__).parents[2] / "docs" / "embedded-aws.md").read_text()

    assert not [name for name in KINDS if f"`{name}`" not in page]
    assert not [name for name, reason in NO_OPS.items() if f"| `{name}` | {reason} |" not in page]
