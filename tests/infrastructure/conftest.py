"""The stack as AWS would get it, synthesised once: functions and layers are one small stand-in, campaigns are fixed."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shortlist.config import Campaign, Mail, Schedule, Smtp

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TOOLS = ROOT / ".tools" / "asl-validator"

Json = dict[str, Any]

CAMPAIGNS = (
    Campaign(
        name="weekly-picks",
        description="Monday morning",
        schedule=Schedule(cron="0 6 ? * MON *", time_zone="Europe/Berlin", flexible_window_minutes=15),
        mail=Mail(sender="picks@shop.example"),
    ),
    Campaign(
        name="buy-again",
        schedule=Schedule(cron="0 7 1 * ? *", time_zone="America/New_York", flexible_window_minutes=0, enabled=False),
        mail=Mail(sender="again@other.example"),
    ),
    Campaign(name="by-hand", mail=Mail(sender="hand@third.example", smtp=Smtp(host="mail.third.example"))),
)


@pytest.fixture(scope="session")
def synthesise_stack(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Context and campaigns in, the folder of the assembly out; a finding of cdk-nag stands in its report."""
    from aws_cdk import aws_lambda as lambda_

    from cdk.application import build

    handlers = tmp_path_factory.mktemp("handlers")
    (handlers / "handler.py").write_text("def handler(event, context): return {}\n")

    def make(*, campaigns: tuple[Campaign, ...] = CAMPAIGNS, nag: bool = False, **context: Any) -> Path:
        outdir = tmp_path_factory.mktemp("assembly")
        code = lambda_.Code.from_asset(str(handlers))
        app = build(
            context, outdir=str(outdir), campaigns=campaigns, code_of=lambda *_: code, layer_of=lambda *_: code, nag=nag
        )
        try:
            app.synth()
        except RuntimeError as error:  # jsii's; the report is written and test_nag.py reads it
            if "ValidationFailed" not in str(error):
                raise
        return outdir

    return make


@pytest.fixture(scope="session")
def assembly(synthesise_stack: Callable[..., Path]) -> Path:
    return synthesise_stack(nag=True)


@pytest.fixture(scope="session")
def template(assembly: Path) -> Json:
    """The template, as a plain dict."""
    return json.loads((assembly / "Shortlist.template.json").read_text())


@pytest.fixture(scope="session")
def of_type(template: Json) -> Callable[[str], dict[str, Json]]:
    """A resource type in; its resources by logical id out."""
    return lambda kind: {name: r for name, r in template["Resources"].items() if r["Type"] == kind}


@pytest.fixture(scope="session")
def asl_validator() -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """asl-validator from npm, installed once into .tools/ as its lock file says, run by the environment's Node.js."""
    import cdk  # noqa: F401 - sets JSII_NODE

    node = Path(os.environ["JSII_NODE"])
    if not _is_installed():
        _install(node)
    program = TOOLS / "node_modules" / "asl-validator" / "dist" / "bin" / "asl-validator.js"

    def validate(path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([node, program, "--json-path", path], capture_output=True, text=True, check=False)

    return validate


def _is_installed() -> bool:
    files = [(TOOLS / name, HERE / "asl-validator" / name) for name in ("package.json", "package-lock.json")]
    return all(there.is_file() and there.read_bytes() == wanted.read_bytes() for there, wanted in files)


def _install(node: Path) -> None:
    """Install beside the place and move there, so that a parallel or broken installation leaves nothing half done."""
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    TOOLS.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS.parent) as scratch:
        fresh = Path(scratch) / "asl-validator"
        shutil.copytree(HERE / "asl-validator", fresh)
        command = [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=fresh, check=True, capture_output=True)
        shutil.rmtree(TOOLS, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was faster
            fresh.rename(TOOLS)
