"""Findings of cdk-nag that are accepted: a construct, a finding and its reason in, an acknowledgment out."""

from collections.abc import Iterable
from typing import Any

from aws_cdk import Acknowledgment, App, Stack, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct

PACK = "AwsSolutions"


def check_with_nag(app: App) -> None:
    """Hold the app against the AWS Solutions rules when it is synthesised; a finding fails the synthesis."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept `rule` ("S1", "IAM5[Resource::*]") for one construct and what is below it."""
    Validations.of(construct).acknowledge(Acknowledgment(id=f"{PACK}::{PACK}-{rule}", reason=reason))


def acknowledge_wildcards(construct: IConstruct, arns: Iterable[str], reason: str) -> None:
    """Accept those of `arns` that hold a wildcard, for one reason."""
    for arn in arns:
        if "*" in (words := _in_nag_words(Stack.of(construct).resolve(arn))):
            acknowledge(construct, f"IAM5[Resource::{words}]", reason)


def _in_nag_words(value: Any) -> str:
    """A resolved ARN as cdk-nag spells it: references in angle brackets."""
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            return f"<{name}>"
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(map(_in_nag_words, parts))
    raise ValueError(f"an ARN of an unknown form: {value}. Teach cdk/nag.py how cdk-nag spells it.")
