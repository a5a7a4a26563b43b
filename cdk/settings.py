"""What a deployment chooses: CDK context in, one frozen `Settings` out. docs/deploy.md lists the keys too."""

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from shortlist.contracts.compute import FARGATE_SIZES

ROOT: Final = Path(__file__).resolve().parent.parent

Machine = Literal["arm64", "x86_64"]


@dataclass(frozen=True, slots=True)
class Target:
    """What the functions and jobs run on.

    Attributes:
        name: `aws`, or `local` for the embedded AWS on this computer.
        machine: processor architecture of functions and jobs.
        python: version of the functions' runtime, "3.13".
        platform: for uv; empty means this computer's.
    """

    name: Literal["aws", "local"]
    machine: Machine
    python: str
    platform: str


AWS: Final = Target("aws", "arm64", "3.13", "aarch64-manylinux_2_34")  # glibc 2.34 is Amazon Linux 2023's


def this_computer() -> Target:
    """The functions and jobs run in processes of this interpreter's version on this computer's processor."""
    machine: Machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    return Target("local", machine, f"{sys.version_info.major}.{sys.version_info.minor}", "")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The context keys.

    Attributes:
        target: `-c target=aws` or `-c target=local`.
        image: `-c image=…`: address of a container image for the jobs; empty builds jobs/Dockerfile at deployment.
        alert_email: subscribed to the team's topic; empty subscribes nobody.
        sender_domain: a domain verified as a whole; senders outside it are verified address by address.
        track: `-c track=no`: messages without SES's pixel and redirects; nobody knows who opened or clicked.
        monthly_budget_usd: the account's monthly costs above which the team is told.
        train_vcpus, train_memory_gib: size of the training job, one of Fargate's pairs.
        max_vcpus: of all jobs at once, on Spot and as many again on demand; at most the account's quota.
    """

    target: Target = AWS
    image: str = ""
    alert_email: str = ""
    sender_domain: str = ""
    track: bool = True
    monthly_budget_usd: int = 50
    train_vcpus: float = 4
    train_memory_gib: int = 16
    max_vcpus: int = 32

    @classmethod
    def from_context(cls, read: Callable[[str], Any]) -> "Settings":
        """Settings of an app; `read` answers a context key's value or None.

        Raises:
            ValueError: a value cannot be used; names the key.
        """
        target = str(read("target") or "aws")
        if target not in ("aws", "local"):
            raise ValueError(f"context target={target}: expected aws or local.")
        settings = cls(
            target=AWS if target == "aws" else this_computer(),
            image=str(read("image") or ("shortlist-jobs:local" if target == "local" else "")),
            alert_email=str(read("alert_email") or ""),
            sender_domain=str(read("sender_domain") or ""),
            track=_yes_or_no(read, "track", cls.track),
            monthly_budget_usd=int(_number(read, "monthly_budget_usd", cls.monthly_budget_usd)),
            train_vcpus=_number(read, "train_vcpus", cls.train_vcpus),
            train_memory_gib=int(_number(read, "train_memory_gib", cls.train_memory_gib)),
            max_vcpus=int(_number(read, "max_vcpus", cls.max_vcpus)),
        )
        check_fargate_size(settings.train_vcpus, settings.train_memory_gib)
        return settings


def check_fargate_size(vcpus: float, memory_gib: int) -> None:
    """Raises ValueError for a pair that Fargate does not offer; nothing before the first run would say so."""
    if memory_gib not in FARGATE_SIZES.get(vcpus, ()):
        offers = "; ".join(f"{v} vCPU: {min(m)} to {max(m)} GiB" for v, m in FARGATE_SIZES.items())
        raise ValueError(f"Fargate has no task of {vcpus} vCPU with {memory_gib} GiB. It offers {offers}.")


def _yes_or_no(read: Callable[[str], Any], key: str, default: bool) -> bool:
    value = read(key)
    if value is None or isinstance(value, bool):
        return default if value is None else value
    if value not in ("yes", "no"):
        raise ValueError(f"context {key}={value}: expected yes or no.")
    return bool(value == "yes")


def _number(read: Callable[[str], Any], key: str, default: float) -> float:
    value = read(key)
    try:
        return default if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"context {key}={value}: expected a number.") from error
