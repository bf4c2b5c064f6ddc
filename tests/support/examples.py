"""How many examples a property is tried with: a quarter of them by default, all before a release.

The profile decides, which ``--hypothesis-profile`` names: `quick`, the default, or `thorough`.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

QUICK = "quick"
_ALL = 100
"""What hypothesis tries of a property that says nothing else."""

# how long an example takes says something of the machine only
settings.register_profile("thorough", deadline=None, max_examples=_ALL)
settings.register_profile(QUICK, deadline=None, max_examples=_ALL // 4)


def examples(number: int, *suppressed: HealthCheck) -> settings:
    """Return settings for a property that the thorough profile tries with ``number`` examples."""
    profile = settings()
    count = max(1, number * profile.max_examples // _ALL)
    return settings(profile, max_examples=count, suppress_health_check=suppressed)
