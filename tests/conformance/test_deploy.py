"""`deploy` on assemblies made by hand: assets arrive, stacks stand, a failure names its resource."""

import json

import pytest

from local.deploy import DeployError, deploy

DESTINATION = {
    "bucketName": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}",
    "objectKey": "code.zip",
}
TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}


def assembly(folder, stacks, needs=()):
    """An assembly of stacks by name, each a template; `needs` are pairs of a stack and the one it depends on."""
    code = folder / "asset.code"
    code.mkdir()
    (code / "index.py").write_text("def handler(event, context): return 'from the asset'")
    files = {"code": {"source": {"path": code.name, "packaging": "zip"}, "destinations": {"here": DESTINATION}}}
    (folder / "app.assets.json").write_text(json.dumps({"files": files}))
    artifacts = {"app.assets": {"type": "cdk:asset-manifest", "properties": {"file": "app.assets.json"}}}
    for name, template in stacks.items():
        (folder / f"{name}.template.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": f"{name}.template.json", "tags": {"app": "test"}},
            "dependencies": [needed for user, needed in needs if user == name],
        }
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return folder


def parameter(value):
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}}


def test_a_function_runs_the_files_of_its_asset(aws, tmp_path):
    bucket = "cdk-hnb659fds-assets-123456789012-eu-west-1"
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": "from-asset",
            "Code": {"S3Bucket": bucket, "S3Key": "code.zip"},
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        },
    }
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}
    outputs = {"Name": {"Value": {"Ref": "F"}}}

    told = deploy(aws, assembly(tmp_path, {"Code": {"Resources": {"F": function, "Role": role}, "Outputs": outputs}}))

    answer = aws.client("lambda").invoke(FunctionName=told["Name"])
    assert json.load(answer["Payload"]) == "from the asset"


def test_stacks_are_deployed_after_those_they_need(aws, tmp_path):
    exporting = {
        "Resources": {"P": parameter("shared")},
        "Outputs": {"O": {"Value": {"Fn::GetAtt": ["P", "Value"]}, "Export": {"Name": "deployed-first"}}},
    }
    importing = {
        "Resources": {"P": parameter({"Fn::ImportValue": "deployed-first"})},
        "Outputs": {"Imported": {"Value": {"Fn::GetAtt": ["P", "Value"]}}},
    }

    outputs = deploy(aws, assembly(tmp_path, {"B": importing, "A": exporting}, needs=[("B", "A")]))

    assert outputs == {"O": "shared", "Imported": "shared"}


def test_deploying_again_changes_what_changed_and_else_nothing(aws, tmp_path):
    template = {"Resources": {"P": parameter("1")}, "Outputs": {"V": {"Value": {"Fn::GetAtt": ["P", "Value"]}}}}
    made = assembly(tmp_path, {"Again": template})
    first = deploy(aws, made)

    same = deploy(aws, made)
    template["Resources"]["P"] = parameter("2")
    (made / "Again.template.json").write_text(json.dumps(template))
    changed = deploy(aws, made)

    assert (first, same, changed) == ({"V": "1"}, {"V": "1"}, {"V": "2"})


def test_a_failure_names_stack_resource_and_reason_and_can_be_mended(aws, tmp_path):
    queue = {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": ["http://none/1/none"], "PolicyDocument": {}}}
    made = assembly(tmp_path, {"Mended": {"Resources": {"Broken": queue}}})

    with pytest.raises(
        DeployError, match=r"Mended is ROLLBACK_COMPLETE: Broken \(AWS::SQS::QueuePolicy\): .*does not exist"
    ):
        deploy(aws, made)
    (made / "Mended.template.json").write_text(json.dumps({"Resources": {"P": parameter("x")}}))

    assert deploy(aws, made) == {}


def test_an_unknown_type_is_told_as_cloudformation_tells_it(aws, tmp_path):
    made = assembly(tmp_path, {"Unknown": {"Resources": {"Thing": {"Type": "AWS::Thing::Thing"}}}})

    with pytest.raises(DeployError, match=r"Unknown: Unrecognized resource types: .*AWS::Thing::Thing \(Thing\)"):
        deploy(aws, made)
