"""What the cases deploy: zips of a few lines, roles with a few statements."""

import io
import json
import textwrap
import zipfile
from typing import Any

from local.server import EmbeddedAws


def archive(**modules: str) -> bytes:
    """A zip with one Python file for each keyword; the same bytes whenever it is made."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        for name, source in modules.items():
            entry = zipfile.ZipInfo(f"{name}.py")  # without the clock's time
            entry.external_attr = 0o600 << 16
            files.writestr(entry, textwrap.dedent(source))
    return packed.getvalue()


def make_role(aws: EmbeddedAws, name: str, *statements: dict[str, Any], service: str = "lambda") -> str:
    """The ARN of a new role that the service may assume, with these statements as its one inline policy."""
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam = aws.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy(*statements))
    return str(role["Arn"])


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
