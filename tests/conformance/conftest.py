"""One embedded AWS for each module of the suite: its cases use names of their own and may run in any order."""

from collections.abc import Iterator

import pytest

from local.server import EmbeddedAws


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with EmbeddedAws(tmp_path_factory.mktemp("aws")) as running:
        yield running
