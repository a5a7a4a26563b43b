"""Settings of the whole suite: examples are not timed, since the machine that draws them may be busy with others."""

from hypothesis import settings

settings.register_profile("suite", deadline=None, max_examples=60)
settings.load_profile("suite")
