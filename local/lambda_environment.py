"""A function as moto keeps it comes in; code, settings and variables of the process that will run it go out."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
from pathlib import Path
from typing import Any

from local.lambda_process import FunctionSpec

MIB_PER_VCPU = 1769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
# What the Python runtimes of Lambda bring; a function's own copies come first.
RUNTIME_PACKAGES = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")


def spec_of(function: Any, runtime_dir: Path) -> FunctionSpec:
    """What an environment of the function is made of."""
    return FunctionSpec(
        name=function.function_name,
        arn=function.function_arn,
        code_dir=function.own_code.folder,
        layers=tuple(layer.folder / "python" for layer in function.layer_code),
        runtime_dir=runtime_dir,
        role_arn=function.role,
        memory_mib=int(function.memory_size),
        timeout_s=float(function.timeout),
        log_group=function.get_configuration()["LoggingConfig"]["LogGroup"],
        environment=tuple(sorted(function.environment_vars.items())),
    )


def variables_of(spec: FunctionSpec, function: Any, scratch: Path) -> dict[str, str]:
    """The variables that Lambda sets, and over them the function's own; no X-Ray daemon listens here, so none is told.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    settings = function.get_configuration()["LoggingConfig"]
    threads = min(os.cpu_count() or 1, math.ceil(spec.memory_mib / MIB_PER_VCPU))
    variables = {
        "PATH": os.environ.get("PATH", os.defpath),
        "TMPDIR": str(scratch),
        "HOME": str(scratch),
        "LANG": "en_US.UTF-8",
        "TZ": "UTC",
        "_HANDLER": str(function.handler),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mib),
        "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": settings["LogFormat"],
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
        "LAMBDA_TASK_ROOT": str(spec.code_dir),
        "LAMBDA_RUNTIME_DIR": str(spec.runtime_dir),
        "OMP_NUM_THREADS": str(threads),  # as many processors as the memory buys
        "POWERTOOLS_TRACE_DISABLED": "1",
        "AWS_XRAY_SDK_ENABLED": "false",
    }
    if "ApplicationLogLevel" in settings:
        variables["AWS_LAMBDA_LOG_LEVEL"] = settings["ApplicationLogLevel"]
    return {**variables, **dict(spec.environment)}


def link_runtime_packages(folder: Path) -> Path:
    """A folder with links to the packages of the Lambda runtime, and to no other package of this environment."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (folder / source.name).symlink_to(source)
    return folder
