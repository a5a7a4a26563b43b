"""The network of a template: properties come in; a VPC that runs nothing, but whose ids are valid, goes out."""

from __future__ import annotations

from typing import Any

from local.cloudformation.resources.kind import Context, Create, Kind, Made, Properties, deleter, only, without


def _tags(kind: str, properties: Properties) -> dict[str, Any]:
    tags = properties.get("Tags")
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def _simple(operation: str, answer: str, identity: str, kind: str) -> Create:
    """A resource whose properties are the parameters of one operation, and whose id is in its answer."""

    def create(context: Context, properties: Properties) -> Made:
        made = context.call("ec2", operation, without(properties, "Tags"), **_tags(kind, properties))
        return Made(made[answer][identity], {"Id": made[answer][identity], identity: made[answer][identity]})

    return create


_DNS = ("EnableDnsSupport", "EnableDnsHostnames")


def _create_vpc(context: Context, properties: Properties) -> Made:
    ec2 = context.client("ec2")
    vpc = context.call("ec2", "CreateVpc", without(properties, "Tags", *_DNS), **_tags("vpc", properties))["Vpc"]
    vpc_id = vpc["VpcId"]
    for name in _DNS:
        if name in properties:
            ec2.modify_vpc_attribute(VpcId=vpc_id, **{name: {"Value": str(properties[name]).lower() == "true"}})
    of_vpc = [{"Name": "vpc-id", "Values": [vpc_id]}]
    group = ec2.describe_security_groups(Filters=[*of_vpc, {"Name": "group-name", "Values": ["default"]}])
    acl = ec2.describe_network_acls(Filters=of_vpc)
    return Made(
        vpc_id,
        {
            "VpcId": vpc_id,
            "CidrBlock": vpc["CidrBlock"],
            "DefaultSecurityGroup": group["SecurityGroups"][0]["GroupId"],
            "DefaultNetworkAcl": acl["NetworkAcls"][0]["NetworkAclId"],
        },
    )


def _create_subnet(context: Context, properties: Properties) -> Made:
    given = _tags("subnet", properties)
    subnet = context.call("ec2", "CreateSubnet", without(properties, "MapPublicIpOnLaunch", "Tags"), **given)["Subnet"]
    if "MapPublicIpOnLaunch" in properties:
        value = str(properties["MapPublicIpOnLaunch"]).lower() == "true"
        context.client("ec2").modify_subnet_attribute(SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": value})
    attributes = {name: subnet[name] for name in ("SubnetId", "AvailabilityZone", "VpcId", "CidrBlock")}
    return Made(subnet["SubnetId"], attributes)


def _create_route(context: Context, properties: Properties) -> Made:
    context.call("ec2", "CreateRoute", properties)
    return Made(f"{properties['RouteTableId']}|{properties.get('DestinationCidrBlock', '')}")


def _delete_route(context: Context, _: Made, properties: Properties) -> None:
    context.call("ec2", "DeleteRoute", only(properties, "RouteTableId", "DestinationCidrBlock"))


def _associate(context: Context, properties: Properties) -> Made:
    identity = context.call("ec2", "AssociateRouteTable", properties)["AssociationId"]
    return Made(identity, {"Id": identity})


def _attach_gateway(context: Context, properties: Properties) -> Made:
    context.call("ec2", "AttachInternetGateway", properties)
    return Made(f"IGW|{properties['VpcId']}")


def _detach_gateway(context: Context, _: Made, properties: Properties) -> None:
    context.call("ec2", "DetachInternetGateway", properties)


def _create_flow_log(context: Context, properties: Properties) -> Made:
    rest = without(properties, "Tags", "ResourceId")
    identity = context.call("ec2", "CreateFlowLogs", rest, ResourceIds=[properties["ResourceId"]])["FlowLogIds"][0]
    return Made(identity, {"Id": identity})


def _delete_flow_log(context: Context, made: Made, _: Properties) -> None:
    context.client("ec2").delete_flow_logs(FlowLogIds=[made.physical_id])


def _delete_endpoint(context: Context, made: Made, _: Properties) -> None:
    context.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[made.physical_id])


def _create_security_group(context: Context, properties: Properties) -> Made:
    ec2 = context.client("ec2")
    group = ec2.create_security_group(
        GroupName=properties.get("GroupName") or context.name(255),
        Description=properties["GroupDescription"],
        **({"VpcId": properties["VpcId"]} if "VpcId" in properties else {}),
        **_tags("security-group", properties),
    )["GroupId"]
    if properties.get("SecurityGroupEgress"):
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[everything])
    for rule in properties.get("SecurityGroupEgress", ()):
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[_permission(rule)])
    for rule in properties.get("SecurityGroupIngress", ()):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[_permission(rule)])
    return Made(group, {"GroupId": group, "VpcId": properties.get("VpcId", "")})


def _create_ingress(context: Context, properties: Properties) -> Made:
    rule = [_permission(properties)]
    context.client("ec2").authorize_security_group_ingress(GroupId=properties["GroupId"], IpPermissions=rule)
    return Made(context.name(64))


def _delete_ingress(context: Context, _: Made, properties: Properties) -> None:
    rule = [_permission(properties)]
    context.client("ec2").revoke_security_group_ingress(GroupId=properties["GroupId"], IpPermissions=rule)


def _permission(rule: Properties) -> dict[str, Any]:
    permission: dict[str, Any] = {"IpProtocol": str(rule["IpProtocol"])}
    for name in ("FromPort", "ToPort"):
        if name in rule:
            permission[name] = int(rule[name])
    if "CidrIp" in rule:
        permission["IpRanges"] = [{"CidrIp": rule["CidrIp"], "Description": rule.get("Description", "")}]
    if "CidrIpv6" in rule:
        permission["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"]}]
    peer = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
    if peer:
        permission["UserIdGroupPairs"] = [{"GroupId": peer}]
    return permission


KINDS = {
    "AWS::EC2::VPC": Kind(_create_vpc, None, deleter("ec2", "DeleteVpc", "VpcId")),
    "AWS::EC2::Subnet": Kind(_create_subnet, None, deleter("ec2", "DeleteSubnet", "SubnetId")),
    "AWS::EC2::RouteTable": Kind(
        _simple("CreateRouteTable", "RouteTable", "RouteTableId", "route-table"),
        None,
        deleter("ec2", "DeleteRouteTable", "RouteTableId"),
    ),
    "AWS::EC2::Route": Kind(_create_route, None, _delete_route),
    "AWS::EC2::SubnetRouteTableAssociation": Kind(
        _associate, None, deleter("ec2", "DisassociateRouteTable", "AssociationId")
    ),
    "AWS::EC2::InternetGateway": Kind(
        _simple("CreateInternetGateway", "InternetGateway", "InternetGatewayId", "internet-gateway"),
        None,
        deleter("ec2", "DeleteInternetGateway", "InternetGatewayId"),
    ),
    "AWS::EC2::VPCGatewayAttachment": Kind(_attach_gateway, None, _detach_gateway),
    "AWS::EC2::VPCEndpoint": Kind(
        _simple("CreateVpcEndpoint", "VpcEndpoint", "VpcEndpointId", "vpc-endpoint"), None, _delete_endpoint
    ),
    "AWS::EC2::FlowLog": Kind(_create_flow_log, None, _delete_flow_log),
    "AWS::EC2::SecurityGroup": Kind(_create_security_group, None, deleter("ec2", "DeleteSecurityGroup", "GroupId")),
    "AWS::EC2::SecurityGroupIngress": Kind(_create_ingress, None, _delete_ingress),
}
