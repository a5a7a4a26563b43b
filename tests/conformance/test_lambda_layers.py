"""Layers as AWS has them: each case publishes a few lines, gives them to a function and invokes it."""

import io
import json
import zipfile

import pytest

from local import lambda_code
from tests.conformance.kit import archive, make_role

MIB = 1024 * 1024
IMPORTING = "def handler(event, context):\n    import part\n    return part.VALUE"


@pytest.fixture(scope="module")
def role(aws):
    return make_role(aws, "layered-function", {"Effect": "Allow", "Action": "logs:*", "Resource": "*"})


@pytest.fixture
def client(aws):
    return aws.client("lambda")


@pytest.fixture
def publish(client, request):
    """Publishes a layer under the test's name; answers with the version's ARN."""

    def publish(content, suffix=""):
        name = f"{short_name(request)}{suffix}"
        return client.publish_layer_version(LayerName=name, Content={"ZipFile": content})["LayerVersionArn"]

    return publish


@pytest.fixture
def function(client, role, request):
    """Makes a function under the test's name; answers with its name."""

    def make(*layers, content=None):
        name = short_name(request)
        code = content or archive(index=IMPORTING)
        settings = {"Runtime": "python3.13", "Role": role, "Handler": "index.handler", "Layers": list(layers)}
        client.create_function(FunctionName=name, Code={"ZipFile": code}, **settings)
        return name

    return make


def short_name(request):
    return request.node.name.removeprefix("test_")[:50]


def module(value):
    return archive(**{"python/part": f"VALUE = {value!r}"})


def zeros(mebibytes, **modules):
    """An archive that is small until it is unzipped."""
    packed = io.BytesIO(archive(**modules))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as files:
        files.writestr("zeros", bytes(mebibytes * MIB))
    return packed.getvalue()


def result(client, name):
    answer = client.invoke(FunctionName=name)
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.load(answer["Payload"])


def test_a_function_imports_from_the_python_folder_of_its_layer(client, publish, function):
    name = function(publish(module("of the layer")))

    assert result(client, name) == "of the layer"


def test_the_functions_own_code_comes_first(client, publish, function):
    name = function(publish(module("of the layer")), content=archive(index=IMPORTING, part="VALUE = 'its own'"))

    assert result(client, name) == "its own"


def test_layers_are_searched_in_the_order_they_are_given(client, publish, function):
    one, two = publish(module(1), "-one"), publish(module(2), "-two")

    name = function(one, two)
    before = result(client, name)
    client.update_function_configuration(FunctionName=name, Layers=[two, one])

    assert (before, result(client, name)) == (1, 2)


def test_a_layer_comes_before_what_the_runtime_brings(client, publish, function):
    layer = publish(archive(**{"python/six": "VALUE = 'of the layer'"}))
    name = function(layer, content=archive(index=IMPORTING.replace("part", "six")))

    assert result(client, name) == "of the layer"


def test_a_function_stays_with_its_version_until_it_is_given_the_next(client, publish, function):
    name = function(publish(module("first")))
    before = result(client, name)

    second = publish(module("second"))
    between = result(client, name)
    client.update_function_configuration(FunctionName=name, Layers=[second])

    assert (before, between, result(client, name)) == ("first", "first", "second")
    assert second.endswith(":2")


def test_a_deleted_version_stays_with_the_functions_that_have_it_and_goes_to_no_other(client, publish, function):
    arn = publish(module("deleted"))
    name = function(arn)

    client.delete_layer_version(LayerName=arn.split(":")[6], VersionNumber=1)
    client.update_function_code(FunctionName=name, ZipFile=archive(index=IMPORTING, other=""))

    assert result(client, name) == "deleted"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_layer_version(LayerName=arn.split(":")[6], VersionNumber=1)
    with pytest.raises(client.exceptions.ClientError, match="LayerVersion"):
        client.update_function_configuration(FunctionName=name, Layers=[arn])


def test_a_file_that_may_be_executed_may_be_executed(client, publish, function):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        program = zipfile.ZipInfo("bin/greet")
        program.external_attr = 0o100755 << 16
        files.writestr(program, "#!/bin/sh\necho hello\n")
        files.writestr("index.py", "import subprocess\ndef handler(e, c): return subprocess.getoutput('bin/greet')")

    assert result(client, function(content=packed.getvalue())) == "hello"


@pytest.fixture
def limit(monkeypatch):
    """A tenth of AWS's limit, so that what is just under it need not be unpacked."""
    assert lambda_code.MAX_UNZIPPED_BYTES == 250 * MIB
    monkeypatch.setattr(lambda_code, "MAX_UNZIPPED_BYTES", 25 * MIB)


def test_code_and_layers_have_one_limit_together(client, publish, function, limit):
    layer = publish(zeros(15))

    with pytest.raises(
        client.exceptions.InvalidParameterValueException,
        match=r"Function code combined with layers exceeds the maximum allowed size of 26214400 bytes\. The actual",
    ):
        function(layer, content=zeros(11))


def test_a_function_that_would_become_too_large_stays_as_it_was(client, publish, function, limit):
    large, small = publish(zeros(15), "-large"), publish(module("small"))
    name = function(small)
    too_large = client.exceptions.InvalidParameterValueException

    with pytest.raises(too_large, match="Unzipped size must be smaller than 26214400 bytes"):
        client.update_function_code(FunctionName=name, ZipFile=zeros(26))
    client.update_function_code(FunctionName=name, ZipFile=zeros(11, index=IMPORTING))
    with pytest.raises(too_large, match="combined with layers"):
        client.update_function_configuration(FunctionName=name, Layers=[large, small], MemorySize=512)

    assert result(client, name) == "small"
    assert client.get_function_configuration(FunctionName=name)["MemorySize"] == 128


@pytest.mark.parametrize(
    ("content", "words"), [(b"no zip", "Could not unzip"), (zeros(251), "must be smaller than 262144000 bytes")]
)
def test_a_layer_that_is_no_zip_or_too_large_is_refused(client, publish, content, words):
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=words):
        publish(content)


def test_a_function_has_five_layers_at_most_and_one_version_of_each(client, publish, function):
    layers = [publish(module(number), f"-{number}") for number in range(6)]
    first_again = publish(module("again"), "-0")
    name = function(*layers[:5])
    refused = client.exceptions.InvalidParameterValueException

    with pytest.raises(refused, match="Cannot reference more than 5 layers"):
        client.update_function_configuration(FunctionName=name, Layers=layers)
    with pytest.raises(refused, match="Two different versions of the same layer"):
        client.update_function_configuration(FunctionName=name, Layers=[layers[0], first_again])

    assert result(client, name) == 0


def test_a_stack_moves_its_functions_to_the_new_version_and_removes_the_old(aws, client, role):
    aws.client("s3").create_bucket(
        Bucket="layer-contents", CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    stack = aws.client("cloudformation")

    def template(value, layers):
        key = f"{value}.zip"
        aws.client("s3").put_object(Bucket="layer-contents", Key=key, Body=module(value))
        content = {"LayerName": "of-a-stack", "Content": {"S3Bucket": "layer-contents", "S3Key": key}}
        code = {"Code": {"ZipFile": IMPORTING}, "Handler": "index.handler", "Runtime": "python3.13", "Role": role}
        function = {"FunctionName": "in-a-stack", **code, **layers}
        resources = {
            "L": {"Type": "AWS::Lambda::LayerVersion", "Properties": content},
            "F": {"Type": "AWS::Lambda::Function", "Properties": function},
        }
        return json.dumps({"Resources": resources})

    with_layer = {"Layers": [{"Ref": "L"}]}
    stack.create_stack(StackName="layers", TemplateBody=template("first", with_layer))
    stack.get_waiter("stack_create_complete").wait(StackName="layers", WaiterConfig={"Delay": 0.05})
    first = result(client, "in-a-stack")
    stack.update_stack(StackName="layers", TemplateBody=template("second", with_layer))
    stack.get_waiter("stack_update_complete").wait(StackName="layers", WaiterConfig={"Delay": 0.05})
    second = result(client, "in-a-stack")
    versions = client.list_layer_versions(LayerName="of-a-stack")["LayerVersions"]
    stack.update_stack(StackName="layers", TemplateBody=template("second", {}))
    stack.get_waiter("stack_update_complete").wait(StackName="layers", WaiterConfig={"Delay": 0.05})
    without = client.get_function_configuration(FunctionName="in-a-stack").get("Layers")
    stack.delete_stack(StackName="layers")
    stack.get_waiter("stack_delete_complete").wait(StackName="layers", WaiterConfig={"Delay": 0.05})

    assert (first, second) == ("first", "second")
    assert [version["Version"] for version in versions] == [2]
    assert without == []
    assert client.list_layer_versions(LayerName="of-a-stack")["LayerVersions"] == []
