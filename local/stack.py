"""An embedded AWS comes in; the Shortlist stack stands in it, as `app.py` synthesises it for this computer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from cdk.synth import ROOT, synthesise
from local.code_cache import CodeCache
from local.deploy import deploy
from local.lambda_code import code_folder
from local.records import ImageMapping
from local.server import EmbeddedAws

JOB_IMAGES: Final = "shortlist-jobs:*"
"""The image that jobs/Dockerfile would build; its files are those of this checkout."""

CACHE_DIR: Final = ROOT / ".local" / "cache"
"""For every embedded AWS of this checkout."""


def prepare(cache_dir: Path = CACHE_DIR) -> Path:
    """Do what a deployment to an embedded AWS with this cache would have to do first; returns the assembly.

    Raises:
        RuntimeError: the app cannot be synthesised.
    """
    assembly = synthesise("local")
    with CodeCache(code_folder(cache_dir)) as cache:
        for path in sorted(assembly.glob("asset.*.zip")):
            archive = path.read_bytes()
            cache.unpacked(archive, hashlib.sha256(archive).hexdigest())
    return assembly


def deploy_shortlist(aws: EmbeddedAws) -> dict[str, str]:
    """Synthesise unless it was done, deploy; returns the stack's outputs by name.

    Raises:
        RuntimeError: the app cannot be synthesised.
        DeployError: the stack cannot be deployed.
    """
    aws.images[JOB_IMAGES] = ImageMapping(ROOT)
    return deploy(aws, synthesise("local"))
