"""IAM as AWS enforces it: roles with a few statements try what they may and what they may not."""

import json

import pytest
from botocore.exceptions import ClientError

from local.iam.policy import Need, Verdict, decide
from tests.conformance.kit import make_role, policy

ACCOUNT = "arn:aws:dynamodb:eu-west-1:123456789012"


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


@pytest.fixture
def caller(aws, request):
    """A client that calls with a new role of these statements."""
    clients = []

    def make(service, *statements):
        name = f"{request.node.name[:40].replace('[', '-').replace(']', '')}-{len(clients)}"
        principal = aws.assume(make_role(aws, name, *statements), f"function:{name}")
        clients.append(aws.client(service, principal))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def refused(call, **parameters) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert error["Code"] in {"AccessDenied", "AccessDeniedException", "403"}, error
    return error["Message"]


@pytest.fixture(scope="module")
def bucket(aws):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="guarded", CreateBucketConfiguration={"LocationConstraint": aws.region})
    for key in ("runs/1/a", "runs/1/b", "other"):
        s3.put_object(Bucket="guarded", Key=key, Body=b"x")
    return "guarded"


@pytest.fixture(scope="module", autouse=True)
def tables(aws):
    for name in ("lists", "ledger"):
        aws.client("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )


ITEM = {"pk": {"S": "1"}}


def test_a_role_without_policies_may_nothing_but_ask_who_it_is(caller):
    assert "assumed-role" in caller("sts").get_caller_identity()["Arn"]
    assert "no identity-based policy allows the dynamodb:ListTables action" in refused(caller("dynamodb").list_tables)


def test_the_error_names_caller_action_and_resource(caller):
    message = refused(caller("dynamodb").put_item, TableName="lists", Item=ITEM)

    assert "assumed-role/" in message
    assert f"dynamodb:PutItem on resource: {ACCOUNT}:table/lists" in message


def test_root_credentials_are_not_checked(aws):
    aws.client("dynamodb").put_item(TableName="lists", Item=ITEM)


def test_a_grant_holds_for_its_resource_only(caller):
    dynamodb = caller("dynamodb", allow("dynamodb:PutItem", f"{ACCOUNT}:table/lists"))

    dynamodb.put_item(TableName="lists", Item=ITEM)

    refused(dynamodb.put_item, TableName="ledger", Item=ITEM)
    refused(dynamodb.get_item, TableName="lists", Key=ITEM)


def test_a_deny_wins_over_every_allow(caller):
    message = refused(
        caller("dynamodb", allow("*"), deny("dynamodb:Put*", f"{ACCOUNT}:table/ledger")).put_item,
        TableName="ledger",
        Item=ITEM,
    )

    assert "explicit deny" in message


def test_a_batch_needs_each_of_its_tables(caller):
    dynamodb = caller("dynamodb", allow("dynamodb:BatchWriteItem", f"{ACCOUNT}:table/lists"))
    put = [{"PutRequest": {"Item": ITEM}}]

    dynamodb.batch_write_item(RequestItems={"lists": put})

    refused(dynamodb.batch_write_item, RequestItems={"lists": put, "ledger": put})


def test_a_transaction_needs_the_action_of_each_item(caller):
    dynamodb = caller("dynamodb", allow("dynamodb:PutItem"))
    put = {"Put": {"TableName": "lists", "Item": ITEM}}

    dynamodb.transact_write_items(TransactItems=[put])

    delete = {"Delete": {"TableName": "ledger", "Key": ITEM}}
    assert "dynamodb:DeleteItem" in refused(dynamodb.transact_write_items, TransactItems=[put, delete])


def test_an_index_is_a_resource_of_its_own(caller):
    query = {"TableName": "lists", "IndexName": "by-date", "KeyConditionExpression": "a = :a"}
    dynamodb = caller("dynamodb", allow("dynamodb:Query", f"{ACCOUNT}:table/lists"))

    message = refused(dynamodb.query, **query, ExpressionAttributeValues={":a": {"S": "1"}})

    assert "table/lists/index/by-date" in message


def test_objects_are_read_and_written_under_the_prefix_of_the_grant(caller, bucket):
    s3 = caller("s3", allow(["s3:GetObject*", "s3:PutObject"], f"arn:aws:s3:::{bucket}/runs/*"))

    s3.put_object(Bucket=bucket, Key="runs/2/c", Body=b"y")
    assert s3.get_object(Bucket=bucket, Key="runs/2/c")["Body"].read() == b"y"
    assert s3.head_object(Bucket=bucket, Key="runs/2/c")["ContentLength"] == 1

    refused(s3.get_object, Bucket=bucket, Key="other")
    refused(s3.delete_object, Bucket=bucket, Key="runs/2/c")


def test_a_key_with_odd_characters_is_checked_as_it_is(caller, bucket):
    s3 = caller("s3", allow("s3:PutObject", f"arn:aws:s3:::{bucket}/odd ü/*"))

    s3.put_object(Bucket=bucket, Key="odd ü/a+b%.txt", Body=b"")

    refused(s3.put_object, Bucket=bucket, Key="odd u/a", Body=b"")


def test_listing_needs_the_bucket_and_keeps_to_the_prefix(caller, bucket):
    condition = {"StringLike": {"s3:prefix": ["runs/*"]}}
    s3 = caller("s3", allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Condition=condition))

    assert s3.list_objects_v2(Bucket=bucket, Prefix="runs/1/")["KeyCount"] == 2

    refused(s3.list_objects_v2, Bucket=bucket, Prefix="other")
    refused(s3.list_objects_v2, Bucket=bucket)


def test_a_missing_object_is_404_to_who_may_list_and_403_to_others(caller, bucket):
    read = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    lister = caller("s3", read, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}"))

    with pytest.raises(lister.exceptions.NoSuchKey):
        lister.get_object(Bucket=bucket, Key="none")

    assert "s3:ListBucket" in refused(caller("s3", read).get_object, Bucket=bucket, Key="none")


def test_a_multipart_upload_is_a_put(caller, bucket):
    s3 = caller("s3", allow(["s3:PutObject", "s3:AbortMultipartUpload"], f"arn:aws:s3:::{bucket}/big"))

    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"z")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload=parts)

    assert "s3:PutObject" in refused(s3.create_multipart_upload, Bucket=bucket, Key="bigger")


def test_a_copy_needs_to_read_its_source(caller, bucket):
    s3 = caller("s3", allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*"))

    message = refused(s3.copy_object, Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "other"})

    assert f"s3:GetObject on resource: arn:aws:s3:::{bucket}/other" in message


def test_deleting_many_needs_each(caller, bucket):
    s3 = caller("s3", allow("s3:DeleteObject", f"arn:aws:s3:::{bucket}/runs/*"))

    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "runs/x"}, {"Key": "runs/y&z"}]})

    refused(s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": "runs/x"}, {"Key": "other"}]})


def test_a_function_may_be_invoked_by_name_where_its_arn_is_granted(aws, caller):
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:rank"
    client = caller("lambda", allow("lambda:InvokeFunction", arn))

    with pytest.raises(client.exceptions.ResourceNotFoundException):  # allowed, and there is none
        client.invoke(FunctionName="rank")

    refused(client.invoke, FunctionName="mail")


def test_a_job_needs_its_definition_and_its_queue(caller):
    batch = "arn:aws:batch:eu-west-1:123456789012"
    only_queue = caller("batch", allow("batch:SubmitJob", f"{batch}:job-queue/q"))
    both = caller("batch", allow("batch:SubmitJob", [f"{batch}:job-queue/q", f"{batch}:job-definition/train*"]))
    job = {"jobName": "j", "jobQueue": "q", "jobDefinition": "train"}

    assert "job-definition/train" in refused(only_queue.submit_job, **job)
    with pytest.raises(both.exceptions.ClientException):  # allowed, and there is none
        both.submit_job(**job)


@pytest.fixture(scope="module")
def sender(aws):
    ses = aws.client("sesv2")
    ses.create_email_identity(EmailIdentity="shop.example.com")
    ses.create_configuration_set(ConfigurationSetName="weekly")
    return "hello@shop.example.com"


RAW = {"Raw": {"Data": b"From: hello@shop.example.com\r\nTo: a@example.com\r\nSubject: s\r\n\r\nb"}}
SES = "arn:aws:ses:eu-west-1:123456789012"


def test_mail_needs_the_identity_of_its_domain_and_the_configuration_set(caller, sender):
    mail = {"FromEmailAddress": sender, "Destination": {"ToAddresses": ["a@example.com"]}, "Content": RAW}
    ses = caller("sesv2", allow("ses:SendRawEmail", f"{SES}:identity/shop.example.com"))

    assert ses.send_email(**mail)["MessageId"]

    assert "configuration-set/weekly" in refused(ses.send_email, **mail, ConfigurationSetName="weekly")


def test_raw_mail_is_checked_as_send_raw_email(caller, sender):
    ses = caller("sesv2", allow("ses:SendEmail"))

    message = refused(
        ses.send_email, FromEmailAddress=sender, Destination={"ToAddresses": ["a@example.com"]}, Content=RAW
    )

    assert "ses:SendRawEmail" in message


def test_a_condition_on_the_sender_is_checked(caller, sender):
    only_other = {"StringEquals": {"ses:FromAddress": "other@shop.example.com"}}
    ses = caller("sesv2", allow("ses:SendRawEmail", Condition=only_other))

    refused(ses.send_email, FromEmailAddress=sender, Destination={"ToAddresses": ["a@example.com"]}, Content=RAW)


def test_a_topic_is_told_apart_from_another(aws, caller):
    arns = [aws.client("sns").create_topic(Name=name)["TopicArn"] for name in ("team", "strangers")]
    sns = caller("sns", allow("sns:Publish", arns[0]))

    sns.publish(TopicArn=arns[0], Message="m")

    refused(sns.publish, TopicArn=arns[1], Message="m")


def test_a_queue_and_a_batch_of_messages(aws, caller):
    url = aws.client("sqs").create_queue(QueueName="letters")["QueueUrl"]
    sqs = caller("sqs", allow("sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:letters"))

    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "m"}])

    refused(sqs.receive_message, QueueUrl=url)


def test_metrics_are_kept_to_their_namespace(caller):
    own = {"StringEquals": {"cloudwatch:namespace": "Shortlist"}}
    cloudwatch = caller("cloudwatch", allow("cloudwatch:PutMetricData", Condition=own))
    data = [{"MetricName": "n", "Value": 1.0}]

    cloudwatch.put_metric_data(Namespace="Shortlist", MetricData=data)

    refused(cloudwatch.put_metric_data, Namespace="Other", MetricData=data)


def test_secrets_and_parameters_by_name(aws, caller):
    arn = aws.client("secretsmanager").create_secret(Name="key", SecretString="s")["ARN"]
    aws.client("ssm").put_parameter(Name="/shop/x", Value="1", Type="String")
    parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/*"

    assert caller("secretsmanager", allow("secretsmanager:GetSecretValue", arn)).get_secret_value(SecretId="key")
    assert caller("ssm", allow("ssm:GetParameter", parameter)).get_parameter(Name="/shop/x")

    refused(caller("ssm", allow("ssm:GetParameter", parameter)).get_parameter, Name="/other")


def test_a_managed_policy_counts_as_one_of_the_role(aws):
    role = make_role(aws, "managed")
    arn = aws.client("iam").create_policy(PolicyName="m", PolicyDocument=policy(allow("dynamodb:ListTables")))
    aws.client("iam").attach_role_policy(RoleName="managed", PolicyArn=arn["Policy"]["Arn"])
    client = aws.client("dynamodb", aws.assume(role, "function:managed"))

    client.list_tables()
    refused(client.scan, TableName="lists")
    client.close()


def test_a_policy_of_aws_may_be_attached(aws):
    role = make_role(aws, "basic")
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    aws.client("iam").attach_role_policy(RoleName="basic", PolicyArn=arn)
    client = aws.client("logs", aws.assume(role, "function:basic"))

    client.create_log_group(logGroupName="by-basic")
    refused(client.delete_log_group, logGroupName="by-basic")
    client.close()


def test_a_changed_policy_takes_effect_at_once(aws):
    role = make_role(aws, "changing", allow("dynamodb:ListTables"))
    client = aws.client("dynamodb", aws.assume(role, "function:changing"))
    client.list_tables()

    aws.client("iam").delete_role_policy(RoleName="changing", PolicyName="inline")

    refused(client.list_tables)
    client.close()


def test_a_session_that_a_client_starts_itself_is_checked_too(aws, caller):
    target = make_role(aws, "target", allow("dynamodb:ListTables"))
    sts = caller("sts", allow("sts:AssumeRole", target))

    keys = sts.assume_role(RoleArn=target, RoleSessionName="session")["Credentials"]

    assert aws.gateway.principals[keys["AccessKeyId"]].role_arn == target
    refused(sts.assume_role, RoleArn=target + "-other", RoleSessionName="session")


def test_what_a_customer_key_encrypts_needs_the_key(aws, caller):
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="encrypted", CreateBucketConfiguration={"LocationConstraint": aws.region})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket="encrypted", ServerSideEncryptionConfiguration={"Rules": [rule]})
    objects = allow("s3:*", "arn:aws:s3:::encrypted*")

    caller("s3", objects, allow("kms:GenerateDataKey", key)).put_object(Bucket="encrypted", Key="k", Body=b"")

    assert "kms:GenerateDataKey" in refused(caller("s3", objects).put_object, Bucket="encrypted", Key="k", Body=b"")
    assert "kms:Decrypt" in refused(caller("s3", objects).get_object, Bucket="encrypted", Key="k")


def test_lambda_refuses_a_role_that_does_not_trust_it(aws):
    role = make_role(aws, "for-batch", service="ecs-tasks")
    client = aws.client("lambda")

    with pytest.raises(client.exceptions.InvalidParameterValueException, match="cannot be assumed by Lambda"):
        client.create_function(
            FunctionName="f", Role=role, Runtime="python3.13", Handler="i.h", Code={"ZipFile": b"PK\5\6" + b"\0" * 18}
        )


NEED = Need("s3:GetObject", "arn:aws:s3:::b/k", {"aws:securetransport": "true", "s3:prefix": "runs/1"})


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        (allow("s3:getobject"), Verdict.ALLOWED),
        (allow("s3:Get?bject"), Verdict.ALLOWED),
        (allow("s3:Put*"), Verdict.NOT_ALLOWED),
        (allow("*", "arn:aws:s3:::b/*"), Verdict.ALLOWED),
        (allow("*", "arn:aws:s3:::b"), Verdict.NOT_ALLOWED),
        ({"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}, Verdict.ALLOWED),
        ({"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}, Verdict.NOT_ALLOWED),
        ({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::b/*"}, Verdict.NOT_ALLOWED),
        ({"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::c/*"}, Verdict.DENIED),
        (allow("*", Condition={"Bool": {"aws:SecureTransport": "true"}}), Verdict.ALLOWED),
        (deny("*", Condition={"Bool": {"aws:SecureTransport": False}}), Verdict.NOT_ALLOWED),
        (allow("*", Condition={"StringEquals": {"s3:prefix": ["a", "runs/1"]}}), Verdict.ALLOWED),
        (allow("*", Condition={"StringNotLike": {"s3:prefix": "runs/*"}}), Verdict.NOT_ALLOWED),
        (allow("*", Condition={"ForAnyValue:StringLike": {"s3:prefix": "runs/*"}}), Verdict.ALLOWED),
        (allow("*", Condition={"Null": {"s3:prefix": "true"}}), Verdict.NOT_ALLOWED),
        (allow("*", Condition={"Null": {"aws:other": "true"}}), Verdict.ALLOWED),
        (allow("*", Condition={"StringEquals": {"aws:unknown": "x"}}), Verdict.ALLOWED),
        (deny("*", Condition={"StringEquals": {"aws:unknown": "x"}}), Verdict.NOT_ALLOWED),
        (
            allow("*", Condition={"StringEquals": {"s3:prefix": "x", "aws:securetransport": "true"}}),
            Verdict.NOT_ALLOWED,
        ),
    ],
)
def test_one_statement_decides(statement, verdict):
    assert decide([policy(statement)], NEED, set()) is verdict


def test_a_condition_that_cannot_be_looked_at_is_told():
    unknown: set[str] = set()

    decide([policy(allow("*", Condition={"StringEquals": {"aws:Unknown": "x"}}))], NEED, unknown)

    assert unknown == {"aws:unknown"}


def test_a_single_statement_need_not_be_a_list():
    document = json.dumps({"Version": "2012-10-17", "Statement": allow("*")})

    assert decide([document], NEED, set()) is Verdict.ALLOWED
