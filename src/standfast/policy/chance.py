"""How many failures in a row are no longer chance.

Theory. A run of failures is evidence that something has changed only as far as it is more than chance makes it. Where a
share p of the calls fails anyway, the probability that N given calls all fail is p^N. At p = 30 %, five in a row come
once in 400 calls: at 100 calls a second a breaker that goes by "5 in a row" opens every few seconds, and refuses the
seventy in a hundred that would have been answered. So the run must be so long that chance makes it once in a million:

    p^N <= 10^-6,   N >= ln 10^-6 / ln p

which is 5 at p = 6 %, 6 at 10 %, 12 at 30 %, 20 at 50 %. Below p = 6 %, and as long as too few calls are known to say
what p is, the configured number holds: whoever was well and dies is left after five.

Between failures in a row there may be calls that are still under way: of M calls N have failed, and the others have
outlived them so far. The probability that N of M fail is at most e^(-M KL(N/M || p)) (Chernoff and Hoeffding), with the
divergence KL(q || p) = q ln(q/p) + (1 - q) ln((1 - q)/(1 - p)); for N = M that is p^N again. Without a known p only a
run with hardly a call in its midst is evidence.

p is the share in the window *before* the run, which must not excuse itself.
"""

import math

CHANCE = 1e-6
"""How probable a run may be by chance: once in a million calls, a few hours at 100 calls a second."""

CERTAIN = 0.9
"""A run of which so many of the calls in its midst have failed stands for all of them."""

_ENOUGH = -math.log(CHANCE)


def beyond_chance(run: int, midst: int, calls: int, failures: int, *, enough: int, least: float = 0.0) -> bool:
    """Is a run of failures so long that it is no chance?

    Args:
        run: failures in a row.
        midst: calls from the first of them to the last; at least `run`.
        calls: in the window before the run.
        failures: among them.
        enough: calls from which their share can be told.
        least: the share is known to be this at least.
    """
    share = run / midst
    usual = max(failures / calls if calls >= enough else 0.0, least)
    if usual <= 0.0:
        if share >= CERTAIN:
            return True
        if calls < enough:
            return False
        usual = 1.0 / (calls + 2)  # none has failed: the rule of succession
    if share <= usual:
        return False  # as ever
    divergence = share * math.log(share / usual)
    if share < 1.0:
        divergence += (1.0 - share) * math.log((1.0 - share) / (1.0 - usual))
    return midst * divergence >= _ENOUGH
