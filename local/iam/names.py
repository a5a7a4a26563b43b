"""A name in a request comes in, the ARN that it stands for in this account goes out."""

from __future__ import annotations

from typing import Any

from moto.batch.models import batch_backends
from moto.kms.models import kms_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.ses.models import ses_backends


class Account:
    """Where resources live that a request names without saying so."""

    def __init__(self, account: str, region: str) -> None:
        self.id = account
        self.region = region

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account; an ARN stays as it is."""
        return resource if resource.startswith("arn:") else f"arn:aws:{service}:{self.region}:{self.id}:{resource}"

    def key(self, name: str) -> str:
        """Of a KMS key by its id, alias or ARN."""
        backend = kms_backends[self.id][self.region]
        if "alias/" not in name:
            return self.arn("kms", name if name.startswith("arn:") else f"key/{name}")
        found = backend.get_key_id_from_alias(backend.get_alias_name(name))
        return self.arn("kms", f"key/{found}" if found else name)

    def is_customer_key(self, name: str) -> bool:
        """Not one of the keys that AWS keeps for its services."""
        backend = kms_backends[self.id][self.region]
        key = backend.keys.get(self.key(name).rpartition("/")[2])
        return key is not None and not any(alias.startswith("alias/aws/") for alias in key.aliases)

    def secret(self, name: str) -> str:
        """Of a secret by its name or ARN."""
        for secret in dict.values(secretsmanager_backends[self.id][self.region].secrets):
            if name in (secret.name, secret.arn):
                return str(secret.arn)
        return self.arn("secretsmanager", f"secret:{name}")

    def job_definition(self, name: str) -> str:
        """Of a Batch job definition by its name, with or without revision."""
        found: Any = batch_backends[self.id][self.region].get_job_definition(name)
        return self.arn("batch", f"job-definition/{name}") if found is None else str(found.arn)

    def identity(self, address: str) -> str:
        """Of the SES identity that an address sends by: its own before that of its domain."""
        known = ses_backends[self.id][self.region].email_identities
        domain = address.rpartition("@")[2]
        return self.arn("ses", f"identity/{domain if address not in known and domain in known else address}")
