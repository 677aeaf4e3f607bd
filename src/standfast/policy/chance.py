"""How many failures in a row are no longer chance.

Theory. A run of failures is evidence that something has changed only as far as it is longer than chance makes it. Where
a share p of the calls fails anyway, the probability that N given calls all fail is p^N. At p = 30 %, five in a row come
once in 400 calls: at 100 calls a second a breaker that goes by "5 in a row" opens every few seconds, and refuses the
seventy in a hundred that would have been answered. So the run must be so long that chance makes it once in a million:

    p^N <= 10^-6,   N >= ln 10^-6 / ln p

which is 5 at p = 6 %, 6 at 10 %, 12 at 30 %, 20 at 50 %. Below p = 6 %, and as long as too few calls are known to say
what p is, the configured number holds: whoever was well and dies is left after five.

p is the share in the window *before* the run, which must not excuse itself.
"""

import math

CHANCE = 1e-6
"""How probable a run may be by chance: once in a million calls, a few hours at 100 calls a second."""

_LOG_CHANCE = math.log(CHANCE)


def beyond_chance(run: int, calls: int, failures: int, *, enough: int, least: float = 0.0) -> bool:
    """Is a run of failures so long that it is no chance?

    Args:
        run: failures in a row.
        calls: in the window before the run.
        failures: among them.
        enough: calls from which their share can be told; with fewer every run is evidence.
        least: the share is known to be this at least.
    """
    share = max(failures / calls if calls >= enough else 0.0, least)
    if share <= 0.0:
        return True
    if share >= 1.0:
        return False  # everything failed before as well: nothing has changed
    return run * math.log(share) <= _LOG_CHANCE
