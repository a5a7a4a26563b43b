"""An embedded AWS comes in; the Shortlist stack stands in it, as `app.py` synthesises it for this computer."""

from __future__ import annotations

from typing import Final

from cdk.synth import ROOT, synthesise
from local.deploy import deploy
from local.records import ImageMapping
from local.server import EmbeddedAws

JOB_IMAGES: Final = "shortlist-jobs:*"
"""The image that jobs/Dockerfile would build; its files are those of this checkout."""


def deploy_shortlist(aws: EmbeddedAws) -> dict[str, str]:
    """Synthesise unless it was done, deploy; returns the stack's outputs by name.

    Raises:
        RuntimeError: the app cannot be synthesised.
        DeployError: the stack cannot be deployed.
    """
    aws.images[JOB_IMAGES] = ImageMapping(ROOT)
    return deploy(aws, synthesise("local"))
