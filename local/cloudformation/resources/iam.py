"""IAM roles, policies and instance profiles of a template: properties come in, what the gateway enforces goes out."""

from __future__ import annotations

from local.cloudformation.resources.kind import Context, Kind, Made, Properties, document


def _create_role(context: Context, properties: Properties) -> Made:
    iam, name = context.client("iam"), properties.get("RoleName") or context.name(64)
    role = iam.create_role(
        RoleName=name,
        Path=properties.get("Path", "/"),
        AssumeRolePolicyDocument=document(properties["AssumeRolePolicyDocument"]),
        Description=properties.get("Description", ""),
        MaxSessionDuration=int(properties.get("MaxSessionDuration", 3600)),
        Tags=properties.get("Tags", []),
    )["Role"]
    made = Made(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})
    _update_role(context, made, {}, properties)
    return made


def _update_role(context: Context, made: Made, before: Properties, now: Properties) -> None:
    iam, role = context.client("iam"), made.physical_id
    if before:
        trust = document(now["AssumeRolePolicyDocument"])
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust)
    had, has = set(before.get("ManagedPolicyArns", ())), set(now.get("ManagedPolicyArns", ()))
    for arn in sorted(had - has):
        iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    for arn in sorted(has - had):
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    inline = {policy["PolicyName"]: policy["PolicyDocument"] for policy in now.get("Policies", ())}
    for gone in {policy["PolicyName"] for policy in before.get("Policies", ())} - inline.keys():
        iam.delete_role_policy(RoleName=role, PolicyName=gone)
    for policy_name, policy in inline.items():
        iam.put_role_policy(RoleName=role, PolicyName=policy_name, PolicyDocument=document(policy))


def _delete_role(context: Context, made: Made, _: Properties) -> None:
    iam, role = context.client("iam"), made.physical_id
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    for policy_name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=policy_name)
    iam.delete_role(RoleName=role)


_HOLDERS = {"Roles": "role", "Users": "user", "Groups": "group"}


def _create_policy(context: Context, properties: Properties) -> Made:
    """An inline policy, put into each role, user and group that it names."""
    iam, name = context.client("iam"), properties["PolicyName"]
    for holders, holder in _HOLDERS.items():
        for owner in properties.get(holders, ()):
            put = getattr(iam, f"put_{holder}_policy")
            owned = {f"{holder.capitalize()}Name": owner}
            put(PolicyName=name, PolicyDocument=document(properties["PolicyDocument"]), **owned)
    return Made(name, {"Id": name})


def _update_policy(context: Context, made: Made, before: Properties, now: Properties) -> None:
    left = {holders: [o for o in before.get(holders, ()) if o not in now.get(holders, ())] for holders in _HOLDERS}
    _delete_policy(context, made, {**before, **left})
    _create_policy(context, now)


def _delete_policy(context: Context, made: Made, properties: Properties) -> None:
    iam = context.client("iam")
    for holders, holder in _HOLDERS.items():
        for owner in properties.get(holders, ()):
            delete = getattr(iam, f"delete_{holder}_policy")
            try:
                delete(PolicyName=made.physical_id, **{f"{holder.capitalize()}Name": owner})
            except iam.exceptions.NoSuchEntityException:  # its holder went before it
                continue


def _create_managed_policy(context: Context, properties: Properties) -> Made:
    iam = context.client("iam")
    arn = iam.create_policy(
        PolicyName=properties.get("ManagedPolicyName") or context.name(128),
        Path=properties.get("Path", "/"),
        PolicyDocument=document(properties["PolicyDocument"]),
    )["Policy"]["Arn"]
    for role in properties.get("Roles", ()):
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    return Made(arn, {"PolicyArn": arn})


def _update_managed_policy(context: Context, made: Made, before: Properties, now: Properties) -> None:
    iam, arn = context.client("iam"), made.physical_id
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(now["PolicyDocument"]), SetAsDefault=True)
    iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    had, has = set(before.get("Roles", ())), set(now.get("Roles", ()))
    for role in sorted(had - has):
        iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    for role in sorted(has - had):
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)


def _delete_managed_policy(context: Context, made: Made, _: Properties) -> None:
    iam, arn = context.client("iam"), made.physical_id
    for role in iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]:
        iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)


def _create_instance_profile(context: Context, properties: Properties) -> Made:
    iam, name = context.client("iam"), properties.get("InstanceProfileName") or context.name(128)
    profile = iam.create_instance_profile(InstanceProfileName=name, Path=properties.get("Path", "/"))
    for role in properties.get("Roles", ()):
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    return Made(name, {"Arn": profile["InstanceProfile"]["Arn"]})


def _delete_instance_profile(context: Context, made: Made, _: Properties) -> None:
    iam, name = context.client("iam"), made.physical_id
    for role in iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
        iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
    iam.delete_instance_profile(InstanceProfileName=name)


KINDS = {
    "AWS::IAM::Role": Kind(_create_role, _update_role, _delete_role, frozenset({"RoleName", "Path"})),
    "AWS::IAM::Policy": Kind(_create_policy, _update_policy, _delete_policy, frozenset({"PolicyName"})),
    "AWS::IAM::ManagedPolicy": Kind(
        _create_managed_policy, _update_managed_policy, _delete_managed_policy, frozenset({"ManagedPolicyName", "Path"})
    ),
    "AWS::IAM::InstanceProfile": Kind(_create_instance_profile, None, _delete_instance_profile),
}
