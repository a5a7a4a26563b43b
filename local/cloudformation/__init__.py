"""CloudFormation of the embedded AWS: templates come in, resources made through the public API go out.

`template` evaluates, `resources` knows the types, `engine` brings a stack to its template, `service` is the API.
moto's own is not used: it skips types it does not know, calls that success, and loses data when a table changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.server import EmbeddedAws


def install(aws: EmbeddedAws) -> None:
    """Answers CloudFormation's requests until `aws` stops."""
    from local.cloudformation.service import CloudFormation

    service = CloudFormation(aws)
    aws.gateway.services["cloudformation"] = service
    aws.on_stop(service.stop)
