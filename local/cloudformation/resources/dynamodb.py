"""DynamoDB tables of a template, of one region or global: properties come in, tables go out."""

from __future__ import annotations

from typing import Any

from local.cloudformation.resources.kind import Context, Kind, Made, Properties, fitted, without

_APART = (
    "PointInTimeRecoverySpecification",
    "Replicas",
    "SSESpecification",
    "StreamSpecification",
    "TableName",
    "TimeToLiveSpecification",
)
_FIXED = frozenset({"TableName", "KeySchema", "LocalSecondaryIndexes"})


def _as_table(context: Context, properties: Properties) -> Properties:
    """A global table's properties as those of its table in this region."""
    if "Replicas" not in properties:
        return properties
    here = next((replica for replica in properties["Replicas"] if replica["Region"] == context.region), None)
    if here is None:
        regions = ", ".join(replica["Region"] for replica in properties["Replicas"])
        raise ValueError(f"the global table has replicas in {regions}, and this AWS is {context.region}")
    kept = ("ContributorInsightsSpecification", "DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "Tags")
    return {**properties, **{name: here[name] for name in kept if name in here}}


def _create(context: Context, properties: Properties) -> Made:
    wanted = _as_table(context, properties)
    name = wanted.get("TableName") or context.name(255)
    stream = wanted.get("StreamSpecification")
    given: dict[str, Any] = {"TableName": name}
    if stream:
        given["StreamSpecification"] = {**stream, "StreamEnabled": True}
    if "SSESpecification" in wanted:
        specification = wanted["SSESpecification"]
        given["SSESpecification"] = {
            "Enabled": str(specification.get("SSEEnabled", False)).lower() == "true",
            **{key: value for key, value in specification.items() if key in {"KMSMasterKeyId", "SSEType"}},
        }
    table = context.call("dynamodb", "CreateTable", without(wanted, *_APART), **given)["TableDescription"]
    made = Made(
        name,
        {"Arn": table["TableArn"], "TableId": table.get("TableId", name), "StreamArn": table.get("LatestStreamArn")},
    )
    _settings(context, name, {}, wanted)
    return made


def _settings(context: Context, name: str, before: Properties, now: Properties) -> None:
    client = context.client("dynamodb")
    expiry = now.get("TimeToLiveSpecification")
    if expiry and expiry != before.get("TimeToLiveSpecification"):
        context.call("dynamodb", "UpdateTimeToLive", {"TimeToLiveSpecification": expiry}, TableName=name)
    recovery = now.get("PointInTimeRecoverySpecification")
    if recovery and recovery != before.get("PointInTimeRecoverySpecification"):
        shape = client.meta.service_model.shape_for("PointInTimeRecoverySpecification")
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=fitted(recovery, shape))


def _update(context: Context, made: Made, before: Properties, now: Properties) -> None:
    """Settings change in place; billing, indexes and protection through UpdateTable."""
    old, new = _as_table(context, before), _as_table(context, now)
    changed: Properties = {
        key: new[key]
        for key in ("BillingMode", "ProvisionedThroughput", "DeletionProtectionEnabled", "AttributeDefinitions")
        if key in new and new[key] != old.get(key)
    }
    had = {index["IndexName"]: index for index in old.get("GlobalSecondaryIndexes", ())}
    has = {index["IndexName"]: index for index in new.get("GlobalSecondaryIndexes", ())}
    indexes = [{"Create": has[name]} for name in has.keys() - had.keys()]
    indexes += [{"Delete": {"IndexName": name}} for name in had.keys() - has.keys()]
    if indexes:
        changed |= {"GlobalSecondaryIndexUpdates": indexes, "AttributeDefinitions": new["AttributeDefinitions"]}
    if changed:
        context.call("dynamodb", "UpdateTable", changed, TableName=made.physical_id)
    _settings(context, made.physical_id, old, new)


def _delete(context: Context, made: Made, _: Properties) -> None:
    context.client("dynamodb").delete_table(TableName=made.physical_id)


KINDS = {
    "AWS::DynamoDB::Table": Kind(_create, _update, _delete, _FIXED),
    "AWS::DynamoDB::GlobalTable": Kind(_create, _update, _delete, _FIXED),
}
