"""The deployed system on the embedded AWS, once for all pipeline tests: the real template, zips, commands and roles.

Fixtures that leave something in it last as long as it does, `scope="package"`: a worker may come back to a module.
"""

from collections.abc import Iterator

import pytest

from local.server import EmbeddedAws
from local.stack import CACHE_DIR, deploy_shortlist
from tests.pipeline.weekly_run import WeeklyRun


@pytest.fixture(scope="package")
def weekly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeeklyRun]:
    with EmbeddedAws(tmp_path_factory.mktemp("aws"), cache_dir=CACHE_DIR) as aws:
        deploy_shortlist(aws)
        yield WeeklyRun(aws)


@pytest.fixture(autouse=True)
def no_faults_left(weekly: WeeklyRun) -> Iterator[None]:
    yield
    weekly.aws.faults.clear()
