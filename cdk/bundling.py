"""Lambda code without docker: a handler folder or a locked dependency group in, the zip of a function or layer out."""

import compileall
import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import jsii
from aws_cdk import AssetHashType, BundlingOptions, BundlingOutput, DockerImage, ILocalBundling
from aws_cdk import aws_lambda as lambda_

from cdk.archives import Entry, entries_of, write_archive
from cdk.settings import ROOT, Target
from shortlist.compiled_scan import SUFFIX, compile_scan

CACHE: Final = ROOT / ".local" / "bundles"
LAYOUT: Final = "6"
"""Part of every hash; raise it when what a zip contains changes for the same sources."""

AWS_APIS: Final = frozenset({"dynamodb", "s3", "secretsmanager", "sesv2", "sns", "sts", "xray"})
"""Services that functions call. botocore describes 430, in 1,900 files of 24 MiB that every cold start would load."""

_STRIPPED_FOLDERS: Final = {"tests", "__pycache__"}
_STRIPPED_SUFFIXES: Final = {".pyi", ".pyx", ".pxd", ".a", ".h", ".c", ".cpp"}
_STRIPPED_NAMES: Final = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", ".lock"}


def function_code(folder: str, target: Target) -> lambda_.Code:
    """The zip of one function: `lambdas/<folder>` and the `shortlist` package.

    Raises:
        FileNotFoundError: the folder has no handler.py.
    """
    source = ROOT / "lambdas" / folder
    if not (source / "handler.py").is_file():
        raise FileNotFoundError(
            f"lambdas/{folder}/handler.py is missing: the table of functions in cdk/functions.py names {folder}. "
            "Write the handler, or take the line out of the table."
        )
    return _zipped(source, function_digest(folder, target), lambda archive: write_function(folder, target, archive))


def layer_code(group: str, target: Target) -> lambda_.Code:
    """The zip of a layer: a locked dependency group."""
    return _zipped(
        ROOT / "requirements",
        dependencies_digest(group, target),
        lambda archive: _link(layer_archive(group, target), archive),
    )


def function_digest(folder: str, target: Target) -> str:
    """SHA-256 (hex) of all that decides what a function's zip holds."""
    digest = hashlib.sha256("\0".join(_words(target)).encode())
    for root in (ROOT / "lambdas" / folder, ROOT / "shortlist"):
        for path in source_files(root):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def dependencies_digest(group: str, target: Target) -> str:
    """SHA-256 (hex) of all that decides what a layer's zip holds."""
    lock = (ROOT / "requirements" / f"{group}.txt").read_bytes()
    return hashlib.sha256("\0".join((*_words(target), *sorted(AWS_APIS))).encode() + b"\0" + lock).hexdigest()


def source_files(root: Path) -> list[Path]:
    """The files below `root` that are sources, in a fixed order."""
    return sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.suffix != SUFFIX)


def write_function(folder: str, target: Target, archive: Path) -> None:
    """Write the function's zip."""
    write_archive(archive, (*_compiled(ROOT / "lambdas" / folder, "", target), *_package(target)))


def layer_archive(group: str, target: Target) -> Path:
    """The zip with the group's locked dependencies in `python/`, made on first use and kept under `.local/bundles`."""
    name = f"{group}-{target.name}"
    archive = CACHE / f"{name}-{dependencies_digest(group, target)[:16]}.zip"
    if archive.is_file():
        return archive
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        content, fresh = Path(scratch) / "content", Path(scratch) / "layer.zip"
        install(ROOT / "requirements" / f"{group}.txt", target, content / "python")
        _strip(content / "python")
        if target.name == "local":
            _compile(content, "/opt")
        write_archive(fresh, entries_of(content))
        for superseded in CACHE.glob(f"{name}-*.zip"):
            superseded.unlink(missing_ok=True)
        fresh.replace(archive)
    return archive


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


def copy_sources(folder: Path, destination: Path) -> None:
    """Copy the sources below `folder`."""
    for path in source_files(folder):
        place = destination / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _zipped(source: Path, digest: str, write: Callable[[Path], None]) -> lambda_.Code:
    """The asset that `write` makes as a zip, when CDK has none of this hash."""
    return lambda_.Code.from_asset(
        str(source),
        asset_hash_type=AssetHashType.CUSTOM,
        asset_hash=digest,
        bundling=BundlingOptions(
            image=DockerImage.from_registry("unused: the local bundling never declines"),
            local=_LocalBundling(write),
            output_type=BundlingOutput.ARCHIVED,
        ),
    )


@jsii.implements(ILocalBundling)
class _LocalBundling:
    """What CDK calls when it needs the asset's content."""

    def __init__(self, write: Callable[[Path], None]) -> None:
        self._write = write

    def try_bundle(self, output_dir: str, *_: Any, **__: Any) -> bool:
        self._write(Path(output_dir) / "code.zip")
        return True


def _words(target: Target) -> tuple[str, ...]:
    return LAYOUT, target.name, target.machine, target.platform or sys.platform, target.python


@lru_cache(maxsize=1)
def _package(target: Target) -> tuple[Entry, ...]:
    """The files of the `shortlist` package, with its compiled scan; every function has them."""
    # Functions run on Linux; those of the embedded AWS on this system.
    scan = compile_scan(CACHE, "linux" if target.platform else sys.platform, target.machine)
    return (*_compiled(ROOT / "shortlist", "shortlist", target), Entry(f"shortlist/{scan.name}", scan.read_bytes()))


def _compiled(folder: Path, place: str, target: Target) -> tuple[Entry, ...]:
    """The sources below `folder` as the files below `place`; for the local target with their byte code."""
    with tempfile.TemporaryDirectory() as scratch:
        copy_sources(folder, Path(scratch) / place)
        if target.name == "local":
            _compile(Path(scratch), "/var/task")
        return tuple(entries_of(Path(scratch)))


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


def _compile(folder: Path, deployed: str) -> None:
    """Byte code that holds whatever the time stamps say: the embedded AWS starts a process per function.

    Args:
        folder: with the sources.
        deployed: where Lambda unpacks them; the byte code tells this place.
    """
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(
        folder, quiet=2, workers=0, invalidation_mode=mode, stripdir=str(folder), prependdir=deployed
    )


def _link(source: Path, destination: Path) -> None:
    """A hard link where the file system has them, else a copy: the file is never written to."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)
