"""A request of a role comes in; nothing goes out where the role may make it, else the AccessDenied of AWS."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.sts.models import STSBackend

from local.iam.key_needs import key_needs
from local.iam.names import Account
from local.iam.needs import needs_of
from local.iam.policy import Need, Verdict, decide
from local.records import Credentials, Principal
from local.server import EmbeddedAws
from local.wire import AwsRequest, ErrorAnswer

_PLAIN_ERRORS = {"cloudformation", "cloudwatch", "iam", "s3", "sns", "sts"}  # AccessDenied, not AccessDeniedException
_log = logging.getLogger(__name__)


def install_guard(aws: EmbeddedAws) -> None:
    """Adds the guard, and makes the sessions known that a client starts by itself."""
    aws.gateway.guards.append(IamGuard(aws))
    before = STSBackend.assume_role

    def assume_role(self: Any, **given: Any) -> Any:
        role = before(self, **given)
        keys = Credentials(role.access_key_id, role.secret_access_key, role.session_token)
        label = f"role:{given['role_arn'].rpartition('/')[2]}"
        aws.gateway.principals[keys.access_key_id] = Principal(label, given["role_arn"], role.arn, keys)
        return role

    aws.replace(STSBackend, "assume_role", assume_role)


def may_assume(aws: EmbeddedAws, role_arn: str, service: str) -> bool:
    """Whether the role exists and trusts the service, as `lambda.amazonaws.com`."""
    try:
        role = iam_backends[aws.account]["aws"].get_role_by_arn(role_arn)
    except NotFoundException:
        return False
    trust = json.loads(role.assume_role_policy_document).get("Statement", [])
    for statement in trust if isinstance(trust, list) else [trust]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else [service]
        if statement["Effect"] == "Allow" and service in (services if isinstance(services, list) else [services]):
            return True
    return False


class IamGuard:
    """Checks requests; each condition key that it cannot look at is logged once."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._account = Account(aws.account, aws.region)
        self._told: set[str] = set()

    def __call__(self, request: AwsRequest) -> ErrorAnswer | None:
        principal = request.principal
        if principal is None:
            return None
        documents = _documents(self._account.id, principal.role_arn)
        for need in self._needs(request):
            unknown: set[str] = set()
            verdict = decide(documents, need, unknown)
            for key in unknown - self._told:
                self._told.add(key)
                _log.info("condition_key_not_checked %s", key)
            if verdict is not Verdict.ALLOWED:
                return _denial(request, principal, need, verdict)
        return None

    def _needs(self, request: AwsRequest) -> Iterator[Need]:
        yield from needs_of(request, self._account)
        yield from self._needs_of_missing_object(request)
        yield from key_needs(request, self._account)

    def _needs_of_missing_object(self, request: AwsRequest) -> Iterator[Need]:
        """Who may not list a bucket must not learn what is not in it: a missing object answers 403, not 404."""
        if request.service != "s3" or request.operation not in {"GetObject", "HeadObject"}:
            return
        name, key = request.parameters["Bucket"], request.parameters["Key"]
        bucket = s3_backends[self._account.id]["aws"].buckets.get(name)
        if bucket is not None and key not in bucket.keys:
            yield Need("s3:ListBucket", f"arn:aws:s3:::{name}", {"s3:prefix": key})


def may(aws: EmbeddedAws, role_arn: str, action: str, resource: str) -> bool:
    """Whether a role's policies allow what a service does for it outside of a request, as writing its log."""
    return decide(_documents(aws.account, role_arn), Need(action, resource), set()) is Verdict.ALLOWED


def _documents(account: str, role_arn: str) -> tuple[str, ...]:
    """The documents of the role's policies; none when the role is gone."""
    try:
        role = iam_backends[account]["aws"].get_role_by_arn(role_arn)
    except NotFoundException:
        return ()
    return (*role.policies.values(), *(_default_document(policy) for policy in role.managed_policies.values()))


def _default_document(policy: Any) -> str:
    versions = [one.document for one in policy.versions if one.version_id == policy.default_version_id]
    return str(versions[0] if versions else policy.versions[-1].document)


def _denial(request: AwsRequest, principal: Principal, need: Need, verdict: Verdict) -> ErrorAnswer:
    why = verdict.value.format(action=need.action)
    on = "" if need.resource is None else f" on resource: {need.resource}"
    text = f"User: {principal.session_arn} is not authorized to perform: {need.action}{on} {why}"
    _log.warning("access_denied %s %s %s", principal.label, need.action, need.resource)
    if request.service == "ec2":
        return ErrorAnswer(403, "UnauthorizedOperation", text)
    code = "AccessDenied" if request.service in _PLAIN_ERRORS else "AccessDeniedException"
    return ErrorAnswer(400 if "HTTP_X_AMZ_TARGET" in request.environ else 403, code, text)
