"""IAM of the embedded AWS: each request made with a role's credentials is checked against the role's policies.

A grant that the stack forgets so fails here with the AccessDenied that it would fail with on AWS. `policy` decides,
`needs` tells what a request needs, `guard` asks both for every request. Not consulted: policies of resources (buckets,
queues, keys), service control policies, session policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.server import EmbeddedAws


def install(aws: EmbeddedAws) -> None:
    """Checks every request of a role until `aws` stops."""
    from local.iam.guard import install_guard

    install_guard(aws)
