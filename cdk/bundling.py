"""Lambda code without docker: a handler folder and a locked dependency group in, an asset folder out."""

import compileall
import contextlib
import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling
from aws_cdk import aws_lambda as lambda_

from cdk.settings import ROOT, Target
from shortlist.compiled_scan import SUFFIX, compile_scan

CACHE: Final = ROOT / ".local" / "bundles"
LAYOUT: Final = "5"
"""Part of every hash; raise it when what a bundle contains changes for the same sources."""

AWS_APIS: Final = frozenset({"dynamodb", "s3", "secretsmanager", "sesv2", "sns", "sts", "xray"})
"""Services that functions call. botocore describes 430, in 1,900 files of 24 MiB that every cold start would load."""

_STRIPPED_FOLDERS: Final = {"tests", "__pycache__"}
_STRIPPED_SUFFIXES: Final = {".pyi", ".pyx", ".pxd", ".a", ".h", ".c", ".cpp"}
_STRIPPED_NAMES: Final = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", ".lock"}


def function_code(folder: str, group: str, target: Target) -> lambda_.Code:
    """The asset of one function: `lambdas/<folder>`, the `shortlist` package and the group's dependencies.

    Raises:
        FileNotFoundError: the folder has no handler.py.
    """
    source = ROOT / "lambdas" / folder
    if not (source / "handler.py").is_file():
        raise FileNotFoundError(
            f"lambdas/{folder}/handler.py is missing: the table of functions in cdk/functions.py names {folder}. "
            "Write the handler, or take the line out of the table."
        )
    return lambda_.Code.from_asset(
        str(source),
        asset_hash_type=AssetHashType.CUSTOM,
        asset_hash=function_digest(folder, group, target),
        bundling=BundlingOptions(
            image=DockerImage.from_registry("unused: the local bundling never declines"),
            local=_LocalBundling(source, group, target),
        ),
    )


def function_digest(folder: str, group: str, target: Target) -> str:
    """SHA-256 (hex) of all that decides what the asset holds."""
    digest = hashlib.sha256(dependencies_digest(group, target).encode())
    for root in (ROOT / "lambdas" / folder, ROOT / "shortlist"):
        for path in source_files(root):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def dependencies_digest(group: str, target: Target) -> str:
    """SHA-256 (hex) of all that decides what a dependency folder holds."""
    lock = (ROOT / "requirements" / f"{group}.txt").read_bytes()
    words = (LAYOUT, target.name, target.machine, target.platform or sys.platform, target.python, *sorted(AWS_APIS))
    return hashlib.sha256("\0".join(words).encode() + b"\0" + lock).hexdigest()


def source_files(root: Path) -> list[Path]:
    """The files below `root` that are sources, in a fixed order."""
    return sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.suffix != SUFFIX)


def write_function(folder: Path, group: str, target: Target, destination: Path) -> None:
    """Fill `destination` with what the function's zip holds."""
    link_tree(installed_dependencies(group, target), destination)
    copy_sources(folder, folder, destination)
    copy_sources(ROOT / "shortlist", ROOT, destination)
    if group == "search":
        _add_scan(target, destination / "shortlist")
    if target.name == "local":
        for path in (destination / "shortlist", destination / "handler.py"):
            _compile(path)


def _add_scan(target: Target, destination: Path) -> None:
    """The compiled scan: for Linux on the target's processor, or for this system where the embedded AWS runs it."""
    library = compile_scan(CACHE, "linux" if target.platform else sys.platform, target.machine)
    _link(library, destination / library.name)


def installed_dependencies(group: str, target: Target) -> Path:
    """The folder with the group's locked dependencies, installed on first use and kept under `.local/bundles`."""
    folder = CACHE / f"{group}-{dependencies_digest(group, target)[:16]}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f"{group}-") as scratch:
        fresh = Path(scratch) / "site"
        install(ROOT / "requirements" / f"{group}.txt", target, fresh)
        _strip(fresh)
        if target.name == "local":
            _compile(fresh)
        with contextlib.suppress(OSError):  # another process was faster; its folder is as good
            fresh.rename(folder)
    return folder


def install(requirements: Path, target: Target, destination: Path) -> None:
    """Install locked wheels for the target's platform; hashes are checked.

    Raises:
        RuntimeError: uv could not; the message is uv's.
    """
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--link-mode", "copy", "--target", str(destination), "-r", str(requirements)]
    if target.platform:
        command += ["--python-platform", target.platform, "--python-version", target.python]
    else:
        command += ["--python", sys.executable]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"uv could not install {requirements.name} for {target.name}:\n{done.stderr}")


def link_tree(source: Path, destination: Path) -> None:
    """Copy a folder, with hard links where the file system has them: the files are never written to."""
    for folder, _, names in os.walk(source):
        below = destination / Path(folder).relative_to(source)
        below.mkdir(parents=True, exist_ok=True)
        for name in names:
            _link(Path(folder) / name, below / name)


def copy_sources(folder: Path, base: Path, destination: Path) -> None:
    """Copy the sources below `folder`, placed as they stand below `base`."""
    for path in source_files(folder):
        place = destination / path.relative_to(base)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


@jsii.implements(ILocalBundling)
class _LocalBundling:
    """What CDK calls when it needs the asset's content."""

    def __init__(self, folder: Path, group: str, target: Target) -> None:
        self._folder, self._group, self._target = folder, group, target

    def try_bundle(self, output_dir: str, *_: Any, **__: Any) -> bool:
        write_function(self._folder, self._group, self._target, Path(output_dir))
        return True


def _strip(folder: Path) -> None:
    """Take out what a function never reads: tests, stubs, C sources, scripts, installer records, other AWS services."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for path in (folder / "botocore" / "data").glob("*/"):
        if path.name not in AWS_APIS:
            shutil.rmtree(path)
    for parent, folders, names in os.walk(folder):
        for name in _STRIPPED_FOLDERS & set(folders):
            shutil.rmtree(Path(parent) / name)
            folders.remove(name)
        for name in names:
            if name in _STRIPPED_NAMES or Path(name).suffix in _STRIPPED_SUFFIXES:
                (Path(parent) / name).unlink()


def _compile(path: Path) -> None:
    """Byte code that holds whatever the time stamps say: the embedded AWS starts a process per function."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if path.is_dir():
        compileall.compile_dir(path, quiet=2, invalidation_mode=mode, workers=0)
    else:
        compileall.compile_file(path, quiet=2, invalidation_mode=mode)


def _link(source: Path, destination: Path) -> None:
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)
