"""What a function's code holds: the handler, the package, the locked dependencies, and nothing that is not read."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cdk import bundling, synth
from cdk.bundling import dependencies_digest, function_code, function_digest, installed_dependencies, write_function
from cdk.functions import FUNCTIONS, FunctionSpec
from cdk.settings import AWS, ROOT, Target, this_computer
from cdk.sizes import LIMIT_BYTES
from shortlist.contracts.stages import snake

SPECS = pytest.mark.parametrize("spec", FUNCTIONS, ids=[spec.word for spec in FUNCTIONS])


@pytest.fixture(scope="session")
def local_assembly() -> Path:
    """The one that `make demo` deploys."""
    return synth.synthesise("local")


def assets_of(assembly: Path) -> dict[str, Path]:
    """Name of a function -> the folder of its code."""
    template = json.loads((assembly / "Shortlist.template.json").read_text())
    functions = [r for r in template["Resources"].values() if r["Type"] == "AWS::Lambda::Function"]
    keys = {f["Properties"]["FunctionName"]: f["Properties"]["Code"]["S3Key"] for f in functions}
    return {name: assembly / f"asset.{key.removesuffix('.zip')}" for name, key in keys.items()}


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@SPECS
def test_a_function_imports_from_its_own_code_alone(spec: FunctionSpec, local_assembly: Path) -> None:
    code = assets_of(local_assembly)[f"Shortlist-{spec.word}"]
    program = f"import sys; sys.path.insert(0, {str(code)!r}); import handler; assert callable(handler.handler)"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@SPECS
def test_a_function_for_aws_is_within_lambdas_limit(spec: FunctionSpec) -> None:
    dependencies = sum(path.stat().st_size for path in installed_dependencies(spec.group, AWS).rglob("*"))
    own = sum(p.stat().st_size for f in (f"lambdas/{snake(spec.word)}", "shortlist") for p in (ROOT / f).rglob("*.*"))

    assert 0 < dependencies + own < LIMIT_BYTES


def test_code_for_aws_is_for_its_processor_and_python() -> None:
    libraries = [path.name for path in installed_dependencies("search", AWS).rglob("*.so")]

    assert any(name.endswith("cpython-313-aarch64-linux-gnu.so") for name in libraries)
    assert not [name for name in libraries if "x86_64" in name]


def test_the_services_that_functions_call_are_described_and_the_others_are_not() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "shortlist" / "aws").glob("*wiring.py"))
    called = set(re.findall(r'client\("(\w+)"', sources)) | {"sesv2"}

    described = {path.name for path in (installed_dependencies("lambda", AWS) / "botocore" / "data").glob("*/")}

    assert called <= described
    assert described == bundling.AWS_APIS


@pytest.mark.parametrize("group", ["lambda", "search", "mail", "report"])
def test_what_is_not_read_is_left_out(group: str) -> None:
    names = [path.name for path in installed_dependencies(group, AWS).rglob("*")]

    assert not {"tests", "__pycache__", "RECORD", ".lock", "bin"} & set(names)
    assert not [name for name in names if name.endswith((".pyi", ".pyc"))]


def test_the_same_sources_give_the_same_code(tmp_path: Path) -> None:
    folder = ROOT / "lambdas" / "evaluate"
    for place in ("one", "two"):
        write_function(folder, "lambda", AWS, tmp_path / place)

    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")

    assert one == two
    assert one["handler.py"] == (folder / "handler.py").read_bytes()
    assert "shortlist/errors.py" in one


def test_the_hash_of_the_code_follows_what_it_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "lambdas/rank/handler.py": "one",
        "lambdas/publish/handler.py": "one",
        "shortlist/errors.py": "two",
        "requirements/search.txt": "three",
        "requirements/lambda.txt": "three",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(bundling, "ROOT", tmp_path)
    newer = Target("aws", "arm64", "3.14", AWS.platform)
    before = function_digest("rank", "search", AWS)

    other_targets = {function_digest("rank", "search", newer), function_digest("rank", "search", this_computer())}
    other_folder = function_digest("publish", "search", AWS)
    (tmp_path / "requirements/lambda.txt").write_text("four")
    untouched = function_digest("rank", "search", AWS)
    (tmp_path / "shortlist/errors.py").write_text("five")
    changed = function_digest("rank", "search", AWS)

    assert len({before, *other_targets, other_folder, changed}) == 5
    assert untouched == before
    assert dependencies_digest("search", AWS) != dependencies_digest("search", newer)


def test_a_function_without_a_folder_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"lambdas/forecast/handler\.py is missing"):
        function_code("forecast", "lambda", AWS)


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
        "with (out / 'manifest.json').open('a') as file: file.write('run ')\n"
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

    assert (once, twice, changed, other) == ("run ", "run ", "run run ", "run ")


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
    assert {path.name for path in (context / "requirements").iterdir()} == {"jobs.txt", "uv.txt"}
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
