"""Settings of the whole suite: examples are not timed, since the machine that draws them may be busy with others."""

import os

# OpenMP's threads wait for one another by spinning. Beside other work, such as a second worker's tests, they take each
# other's cores: tests/unit/test_fm_ratings.py takes 2.3 CPU seconds without, 17 to 21 with it (two cores, load of 10).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from hypothesis import settings

settings.register_profile("suite", deadline=None, max_examples=60)
settings.load_profile("suite")
