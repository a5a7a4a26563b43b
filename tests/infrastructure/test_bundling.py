"""What the zips hold: a function its handler and the package, a layer the locked dependencies, and nothing not read."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdk import bundling, synth
from cdk.archives import Entry, write_archive
from cdk.bundling import dependencies_digest, function_code, function_digest, layer_archive, write_function
from cdk.functions import FUNCTIONS, FunctionSpec
from cdk.settings import AWS, ROOT, Target, this_computer
from cdk.sizes import LIMIT_BYTES, function_bytes, layer_bytes
from local.code_cache import CodeCache
from local.lambda_code import code_folder
from local.stack import CACHE_DIR, prepare

SPECS = pytest.mark.parametrize("spec", FUNCTIONS, ids=[spec.word for spec in FUNCTIONS])


@pytest.fixture(scope="session")
def local_assembly() -> Path:
    """The one that `make demo` deploys."""
    return prepare()


@pytest.fixture(scope="session")
def import_path(local_assembly: Path) -> Iterator[Callable[[str], list[str]]]:
    """Name of a function -> the folders that Lambda would unpack its code and its layers to."""
    resources = json.loads((local_assembly / "Shortlist.template.json").read_text())["Resources"]
    functions = {
        r["Properties"]["FunctionName"]: r["Properties"]
        for r in resources.values()
        if r["Type"] == "AWS::Lambda::Function"
    }
    with CodeCache(code_folder(CACHE_DIR)) as cache:

        def unpacked(code: dict[str, str]) -> Path:
            archive = (local_assembly / f"asset.{code['S3Key']}").read_bytes()
            return cache.unpacked(archive, hashlib.sha256(archive).hexdigest())

        def of(name: str) -> list[str]:
            layers = [resources[layer["Ref"]]["Properties"]["Content"] for layer in functions[name]["Layers"]]
            return [str(unpacked(functions[name]["Code"])), *(str(unpacked(layer) / "python") for layer in layers)]

        yield of


def content(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as files:
        return {name: files.read(name) for name in files.namelist()}


@SPECS
def test_a_function_imports_from_its_own_code_and_layer_alone(
    spec: FunctionSpec, import_path: Callable[[str], list[str]]
) -> None:
    path = import_path(f"Shortlist-{spec.word}")
    program = f"import sys; sys.path[:0] = {path}; import handler; assert callable(handler.handler)"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@SPECS
def test_a_function_for_aws_is_within_lambdas_limit(spec: FunctionSpec) -> None:
    own, layer = function_bytes(spec.word, AWS), layer_bytes(spec.group, AWS)

    assert 0 < own < layer
    assert own + layer < LIMIT_BYTES


def test_code_for_aws_is_for_its_processor_and_python() -> None:
    libraries = [name for name in content(layer_archive("search", AWS)) if name.endswith(".so")]

    assert any(name.endswith("cpython-313-aarch64-linux-gnu.so") for name in libraries)
    assert not [name for name in libraries if "x86_64" in name]


def test_the_services_that_functions_call_are_described_and_the_others_are_not() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "shortlist" / "aws").glob("*wiring.py"))
    called = set(re.findall(r'client\("(\w+)"', sources)) | {"sesv2"}

    names = content(layer_archive("lambda", AWS))
    described = {name.split("/")[3] for name in names if re.match(r"python/botocore/data/\w+/", name)}

    assert called <= described
    assert described == bundling.AWS_APIS


@pytest.mark.parametrize("group", ["lambda", "search", "mail", "report"])
def test_what_is_not_read_is_left_out(group: str) -> None:
    names = list(content(layer_archive(group, AWS)))

    assert {name.split("/")[0] for name in names} == {"python"}
    assert not {"tests", "__pycache__", "RECORD", ".lock", "bin"} & {part for name in names for part in name.split("/")}
    assert not [name for name in names if name.endswith((".pyi", ".pyc"))]


def test_the_same_sources_give_the_same_code(tmp_path: Path) -> None:
    for place in ("one", "two"):
        bundling._package.cache_clear()
        write_function("evaluate", AWS, tmp_path / place)

    files = content(tmp_path / "one")

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert files["handler.py"] == (ROOT / "lambdas" / "evaluate" / "handler.py").read_bytes()
    assert {name.split("/")[0] for name in files} == {"handler.py", "shortlist"}


def test_an_archive_keeps_what_may_be_executed(tmp_path: Path) -> None:
    write_archive(tmp_path / "zip", [Entry("plain", b""), Entry("program", b"", executable=True)])

    with zipfile.ZipFile(tmp_path / "zip") as files:
        modes = [oct(entry.external_attr >> 16 & 0o777) for entry in files.infolist()]

    assert modes == ["0o644", "0o755"]


def test_code_for_this_computer_has_its_byte_code(
    local_assembly: Path, import_path: Callable[[str], list[str]]
) -> None:
    tag = sys.implementation.cache_tag

    code, layer = map(Path, import_path("Shortlist-Evaluate"))

    assert (code / "__pycache__" / f"handler.{tag}.pyc").is_file()
    assert (code / "shortlist" / "__pycache__" / f"errors.{tag}.pyc").is_file()
    assert (layer / "msgspec" / "__pycache__" / f"__init__.{tag}.pyc").is_file()


def test_the_hashes_follow_what_the_zips_are_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "lambdas/rank/handler.py": "one",
        "lambdas/publish/handler.py": "one",
        "shortlist/errors.py": "two",
        "requirements/search.txt": "three",
        "requirements/lambda.txt": "four",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(bundling, "ROOT", tmp_path)
    newer = Target("aws", "arm64", "3.14", AWS.platform)
    function, layer = function_digest("rank", AWS), dependencies_digest("search", AWS)

    others = {
        *(function_digest("rank", target) for target in (newer, this_computer())),
        *(dependencies_digest("search", target) for target in (newer, this_computer())),
        function_digest("publish", AWS),
        dependencies_digest("lambda", AWS),
    }
    (tmp_path / "shortlist/errors.py").write_text("five")
    after_code = (function_digest("rank", AWS), dependencies_digest("search", AWS))
    (tmp_path / "requirements/search.txt").write_text("six")
    after_lock = (function_digest("rank", AWS), dependencies_digest("search", AWS))

    assert len({function, layer, *others}) == 8
    assert after_code[0] != function
    assert after_code[1] == layer
    assert after_lock[0] == after_code[0]
    assert after_lock[1] != layer


def test_a_function_without_a_folder_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"lambdas/forecast/handler\.py is missing"):
        function_code("forecast", AWS)


def test_a_lock_that_cannot_be_installed_says_why(tmp_path: Path) -> None:
    lock = tmp_path / "wrong.txt"
    lock.write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")

    with pytest.raises(RuntimeError, match=r"uv could not install wrong\.txt for aws"):
        bundling.install(lock, AWS, tmp_path / "site")


@pytest.fixture
def small_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose app counts how often it was run."""
    (tmp_path / "app.py").write_text(
        "import pathlib, sys\n"
        "out = pathlib.Path(sys.argv[sys.argv.index('--output') + 1]); out.mkdir(parents=True, exist_ok=True)\n"
        "if 'target=moon' in sys.argv: sys.exit('app.py: no such target')\n"
        "runs = pathlib.Path('runs'); runs.write_text((runs.read_text() if runs.exists() else '') + 'run ')\n"
        "(out / 'manifest.json').write_text(runs.read_text())\n"
    )
    (tmp_path / "campaigns").mkdir()
    monkeypatch.setattr(synth, "ROOT", tmp_path)
    return tmp_path


def test_an_assembly_is_kept_while_its_sources_stand(small_app: Path) -> None:
    once = (synth.synthesise("local") / "manifest.json").read_text()
    twice = (synth.synthesise("local") / "manifest.json").read_text()
    (small_app / "campaigns" / "weekly.yaml").write_text("x: 1")
    changed = (synth.synthesise("local") / "manifest.json").read_text()
    other = (synth.synthesise("aws") / "manifest.json").read_text()

    assert (once, twice, changed, other) == ("run ", "run ", "run run ", "run run run ")


def test_an_assembly_holds_nothing_of_the_one_before(small_app: Path) -> None:
    (synth.synthesise("local") / "asset.old.zip").touch()
    (small_app / "campaigns" / "weekly.yaml").write_text("x: 2")

    assembly = synth.synthesise("local")

    assert sorted(path.name for path in assembly.iterdir()) == [".sources", "manifest.json"]


def test_an_app_that_cannot_be_synthesised_says_why_and_leaves_no_assembly(small_app: Path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no such target"):
            synth.synthesise("moon")


def test_the_jobs_image_is_built_from_the_sources_it_needs(assembly: Path) -> None:
    [image] = json.loads((assembly / "Shortlist.assets.json").read_text())["dockerImages"].values()

    context = assembly / image["source"]["directory"]

    folders = {path.name for path in context.iterdir()}
    assert image["source"]["dockerFile"] == "jobs/Dockerfile"
    assert image["source"]["platform"] == "linux/arm64"
    assert folders == {".dockerignore", "campaigns", "jobs", "requirements", "shortlist"}
    assert {path.name for path in (context / "requirements").iterdir()} == {"compiler.txt", "jobs.txt", "uv.txt"}
    assert not list(context.rglob("__pycache__"))


def test_the_jobs_image_holds_what_the_jobs_import(assembly: Path) -> None:
    [image] = json.loads((assembly / "Shortlist.assets.json").read_text())["dockerImages"].values()
    program = "import sys; sys.path.insert(0, '.'); import jobs.prepare, jobs.train; print(jobs.__file__)"

    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", program],
        cwd=assembly / image["source"]["directory"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(assembly))
