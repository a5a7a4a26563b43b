"""Logs, alarms, dashboards and budgets of a template: properties come in, what can be looked up again goes out."""

from __future__ import annotations

from local.cloudformation.resources.kind import Context, Kind, Made, Properties, document, upsert, without


def _create_log_group(context: Context, properties: Properties) -> Made:
    name = properties.get("LogGroupName") or context.name(512)
    context.call("logs", "CreateLogGroup", without(properties, "LogGroupName", "RetentionInDays"), logGroupName=name)
    made = Made(name, {"Arn": context.arn("logs", f"log-group:{name}:*")})
    _update_log_group(context, made, {}, properties)
    return made


def _update_log_group(context: Context, made: Made, before: Properties, now: Properties) -> None:
    logs = context.client("logs")
    if "RetentionInDays" in now:
        logs.put_retention_policy(logGroupName=made.physical_id, retentionInDays=int(now["RetentionInDays"]))
    elif "RetentionInDays" in before:
        logs.delete_retention_policy(logGroupName=made.physical_id)


def _delete_log_group(context: Context, made: Made, _: Properties) -> None:
    context.client("logs").delete_log_group(logGroupName=made.physical_id)


def _put_metric_filter(context: Context, properties: Properties) -> Made:
    name = properties.get("FilterName") or context.name(512)
    context.call("logs", "PutMetricFilter", without(properties, "FilterName"), filterName=name)
    return Made(name)


def _delete_metric_filter(context: Context, made: Made, properties: Properties) -> None:
    group = properties["LogGroupName"]
    context.client("logs").delete_metric_filter(logGroupName=group, filterName=made.physical_id)


def _put_logs_policy(context: Context, properties: Properties) -> Made:
    name, policy = properties["PolicyName"], document(properties["PolicyDocument"])
    context.client("logs").put_resource_policy(policyName=name, policyDocument=policy)
    return Made(name)


def _delete_logs_policy(context: Context, made: Made, _: Properties) -> None:
    context.client("logs").delete_resource_policy(policyName=made.physical_id)


def _create_alarm(context: Context, properties: Properties) -> Made:
    name = properties.get("AlarmName") or context.name(255)
    return _put_alarm(context, Made(name), properties)


def _put_alarm(context: Context, made: Made, properties: Properties) -> Made:
    context.call("cloudwatch", "PutMetricAlarm", without(properties, "AlarmName"), AlarmName=made.physical_id)
    made.attributes = {"Arn": context.arn("cloudwatch", f"alarm:{made.physical_id}")}
    return made


def _update_alarm(context: Context, made: Made, _: Properties, now: Properties) -> None:
    _put_alarm(context, made, now)


def _delete_alarm(context: Context, made: Made, _: Properties) -> None:
    context.client("cloudwatch").delete_alarms(AlarmNames=[made.physical_id])


def _create_dashboard(context: Context, properties: Properties) -> Made:
    made = Made(properties.get("DashboardName") or context.name(255))
    _update_dashboard(context, made, {}, properties)
    return made


def _update_dashboard(context: Context, made: Made, _: Properties, now: Properties) -> None:
    body = document(now["DashboardBody"])
    context.client("cloudwatch").put_dashboard(DashboardName=made.physical_id, DashboardBody=body)


def _delete_dashboard(context: Context, made: Made, _: Properties) -> None:
    context.client("cloudwatch").delete_dashboards(DashboardNames=[made.physical_id])


def _create_budget(context: Context, properties: Properties) -> Made:
    name = properties["Budget"].get("BudgetName") or context.name(100)
    wanted = {**properties, "Budget": {**properties["Budget"], "BudgetName": name}}
    context.call("budgets", "CreateBudget", wanted, AccountId=context.account)
    return Made(name)


def _delete_budget(context: Context, made: Made, _: Properties) -> None:
    context.client("budgets").delete_budget(AccountId=context.account, BudgetName=made.physical_id)


KINDS = {
    "AWS::Logs::LogGroup": Kind(
        _create_log_group, _update_log_group, _delete_log_group, frozenset({"LogGroupName", "KmsKeyId"})
    ),
    "AWS::Logs::MetricFilter": upsert(_put_metric_filter, _delete_metric_filter, {"FilterName", "LogGroupName"}),
    "AWS::Logs::ResourcePolicy": upsert(_put_logs_policy, _delete_logs_policy, {"PolicyName"}),
    "AWS::CloudWatch::Alarm": Kind(_create_alarm, _update_alarm, _delete_alarm, frozenset({"AlarmName"})),
    "AWS::CloudWatch::Dashboard": Kind(
        _create_dashboard, _update_dashboard, _delete_dashboard, frozenset({"DashboardName"})
    ),
    "AWS::Budgets::Budget": Kind(_create_budget, None, _delete_budget),
}
