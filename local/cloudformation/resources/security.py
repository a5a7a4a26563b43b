"""Keys, secrets and parameters of a template: properties come in, keys, secrets with values and parameters go out."""

from __future__ import annotations

import json

from local.cloudformation.resources.kind import Context, Kind, Made, Properties, document, only, without


def _create_key(context: Context, properties: Properties) -> Made:
    kms = context.client("kms")
    given = {"Policy": document(properties["KeyPolicy"])} if "KeyPolicy" in properties else {}
    tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in properties.get("Tags", ())]
    rest = only(properties, "Description", "KeySpec", "KeyUsage")
    key = context.call("kms", "CreateKey", rest, Tags=tags, **given)["KeyMetadata"]
    if properties.get("EnableKeyRotation"):
        kms.enable_key_rotation(KeyId=key["KeyId"])
    return Made(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})


def _update_key(context: Context, made: Made, _: Properties, now: Properties) -> None:
    kms = context.client("kms")
    if "KeyPolicy" in now:
        kms.put_key_policy(KeyId=made.physical_id, PolicyName="default", Policy=document(now["KeyPolicy"]))
    kms.update_key_description(KeyId=made.physical_id, Description=now.get("Description", ""))


def _delete_key(context: Context, made: Made, properties: Properties) -> None:
    days = int(properties.get("PendingWindowInDays", 30))
    context.client("kms").schedule_key_deletion(KeyId=made.physical_id, PendingWindowInDays=days)


def _create_alias(context: Context, properties: Properties) -> Made:
    context.call("kms", "CreateAlias", properties)
    return Made(properties["AliasName"])


def _update_alias(context: Context, made: Made, _: Properties, now: Properties) -> None:
    context.client("kms").update_alias(AliasName=made.physical_id, TargetKeyId=now["TargetKeyId"])


def _delete_alias(context: Context, made: Made, _: Properties) -> None:
    context.client("kms").delete_alias(AliasName=made.physical_id)


def _secret_text(context: Context, properties: Properties) -> str:
    """The secret as given, or made as GenerateSecretString says."""
    if "GenerateSecretString" not in properties:
        return str(properties.get("SecretString", ""))
    wish = properties["GenerateSecretString"]
    asked = without(wish, "GenerateStringKey", "SecretStringTemplate")
    password = context.call("secretsmanager", "GetRandomPassword", asked)["RandomPassword"]
    if "SecretStringTemplate" not in wish:
        return str(password)
    return json.dumps({**json.loads(wish["SecretStringTemplate"]), wish["GenerateStringKey"]: password})


def _create_secret(context: Context, properties: Properties) -> Made:
    rest = only(properties, "Description", "KmsKeyId", "Tags")
    name = properties.get("Name") or context.name(512)
    text = _secret_text(context, properties)
    arn = context.call("secretsmanager", "CreateSecret", rest, Name=name, SecretString=text)["ARN"]
    return Made(arn, {"Id": arn})


def _update_secret(context: Context, made: Made, before: Properties, now: Properties) -> None:
    """A generated value stays as it is; only a given one is put anew."""
    if now.get("SecretString") != before.get("SecretString") and "SecretString" in now:
        context.client("secretsmanager").put_secret_value(SecretId=made.physical_id, SecretString=now["SecretString"])


def _delete_secret(context: Context, made: Made, _: Properties) -> None:
    context.client("secretsmanager").delete_secret(SecretId=made.physical_id, ForceDeleteWithoutRecovery=True)


def _create_parameter(context: Context, properties: Properties) -> Made:
    made = Made(properties.get("Name") or context.name(512))
    _update_parameter(context, made, {}, properties)
    return made


def _update_parameter(context: Context, made: Made, _: Properties, now: Properties) -> None:
    rest = without(now, "Name", "Tags")
    context.call("ssm", "PutParameter", rest, Name=made.physical_id, Overwrite=True)
    made.attributes = {"Type": now["Type"], "Value": now["Value"]}


def _delete_parameter(context: Context, made: Made, _: Properties) -> None:
    context.client("ssm").delete_parameter(Name=made.physical_id)


def _create_repository(context: Context, properties: Properties) -> Made:
    name = properties.get("RepositoryName") or context.name(256, lower=True)
    repository = context.client("ecr").create_repository(repositoryName=name)["repository"]
    return Made(name, {"Arn": repository["repositoryArn"], "RepositoryUri": repository["repositoryUri"]})


def _update_repository(context: Context, made: Made, before: Properties, now: Properties) -> None:
    """Scanning, lifecycle and mutability of images have no effect where no image is kept."""


def _delete_repository(context: Context, made: Made, _: Properties) -> None:
    context.client("ecr").delete_repository(repositoryName=made.physical_id, force=True)


KINDS = {
    "AWS::KMS::Key": Kind(_create_key, _update_key, _delete_key, frozenset({"KeySpec", "KeyUsage"})),
    "AWS::KMS::Alias": Kind(_create_alias, _update_alias, _delete_alias, frozenset({"AliasName"})),
    "AWS::SecretsManager::Secret": Kind(_create_secret, _update_secret, _delete_secret, frozenset({"Name"})),
    "AWS::SSM::Parameter": Kind(_create_parameter, _update_parameter, _delete_parameter, frozenset({"Name", "Type"})),
    "AWS::ECR::Repository": Kind(
        _create_repository, _update_repository, _delete_repository, frozenset({"RepositoryName"})
    ),
}
