"""What a scenario file says: who asks what and when, how the upstreams behave, and what goes wrong.

Nothing here decides anything: deadlines, retries, failover are the configuration's and the policy's. A scenario is the
weather; the configuration is the house.

Upstreams and troubles are addressed by what a configuration's targets are *to the model that is asked*, so that one
scenario suits every configuration (`standfast.sim.cast` finds them):

    *                       all
    primary, secondary, tertiary, last      by the order of the targets
    region:NAME             by region
    openai, openai/gpt-4.1  a provider entry, one target
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from standfast import plugins
from standfast.canon.ask import HIGHEST_PRIORITY, LOWEST_PRIORITY
from standfast.canon.failure import FailureKind
from standfast.canon.settings import Seconds, Settings
from standfast.sim.spread import MOST, Amount, Number, Spread, Whole

Positive = Annotated[Seconds, Field(gt=0, le=MOST, allow_inf_nan=False)]
Duration = Annotated[Seconds, Field(ge=0, le=MOST, allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Weight = Annotated[Number, Field(ge=0, le=1e12)]
Count = Annotated[Whole, Field(ge=0)]
AtLeastOne = Annotated[Whole, Field(ge=1)]
Factor = Annotated[Number, Field(gt=0, le=10_000)]
PerMinute = Annotated[Number, Field(ge=0.001, le=1e12)]
Selector = Annotated[str, Field(pattern=r"^(\*|region:\S+|[^/\s]+(/\S+)?)$")]

OURS = (FailureKind.CLIENT_CANCELLED, FailureKind.DEADLINE_PASSED)
"""Failures that no upstream causes."""


class Burst(Settings):
    """More requests for a while.

    Attributes:
        at: when it begins.
        lasts: how long it goes on.
        factor: so many times the usual rate.
    """

    at: Duration
    lasts: Positive
    factor: Factor


class Client(Settings):
    """What callers do by themselves.

    Attributes:
        retries: further tries of a failed request (the SDKs of OpenAI and Anthropic: 2).
        obeys: `x-should-retry: false` is honoured, as those SDKs do; what ignores it multiplies attempts.
        patience: a caller hangs up after so long without the first content; None for never.
    """

    retries: Annotated[Whole, Field(ge=0, le=10)] = 0
    obeys: bool = True
    patience: Spread | None = None


class Workload(Settings):
    """Who asks what and when.

    Attributes:
        requests: so many in all, exactly, bursts included; or ...
        rate: ... so many a second on average, outside of bursts.
        arrivals: `poisson` for independent callers, `constant` for a metronome.
        curve: relative rates at equally spaced instants from the beginning to the end, linear in between.
        bursts: stretches with more requests.
        models: share of the requests by the model they name; empty for the configuration's first.
        prompt_tokens, completion_tokens: sizes.
        max_tokens: what requests say; 0 for nothing.
        streaming: share of the requests that want a stream.
        repeatable: share of the requests whose answer the same model gives word for word again (temperature 0): what a
            replay of a broken stream needs.
        priorities: share by priority (1 is shed first, 5 last).
        callers: share by the name of the client key; empty for an open door.
        sessions: so many conversations go on at a time; 0 for none.
        deadline: requests say that nobody waits longer; None for what the configuration allows.
        client: what callers do by themselves.
    """

    requests: AtLeastOne | None = None
    rate: Annotated[Number, Field(gt=0)] | None = None
    arrivals: Literal["poisson", "constant"] = "poisson"
    curve: tuple[Weight, ...] = ()
    bursts: tuple[Burst, ...] = ()
    models: Mapping[str, Weight] = {}
    prompt_tokens: Amount = Amount(median=400, p95=2000)
    completion_tokens: Amount = Amount(median=250, p95=900)
    max_tokens: Count = 0
    streaming: Share = 1.0
    repeatable: Share = 0.0
    priorities: Mapping[Annotated[Whole, Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)], Weight] = {3: 1.0}
    callers: Mapping[str, Weight] = {}
    sessions: Count = 0
    deadline: Positive | None = None
    client: Client = Client()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.requests is None) == (self.rate is None):
            raise ValueError("say either `requests` (in all) or `rate` (a second)")
        if len(self.curve) == 1 or (self.curve and not any(self.curve)):
            raise ValueError("a curve needs at least two rates, one of them above 0")
        for name in ("models", "priorities", "callers"):
            weights = getattr(self, name)
            if (weights or name == "priorities") and not any(weights.values()):
                raise ValueError(f"{name}: at least one share must be above 0")
        return self


class Error(Settings):
    """One way in which attempts fail.

    Attributes:
        kind: a row of the failure table. Its moment: `connect_failed` at once; `connect_timeout` after the policy's
            time to connect; `first_token_timeout` never answers, so the policy's deadline ends it; `stalled` and
            `broken_stream` somewhere in the answer (a whole reply is then not delivered at all); `empty_reply` and
            `invalid_reply` when the answer would have come; all others when `after` says.
        share: of the attempts.
        after: how long the upstream takes to say so; None for what is usual for the kind.
        retry_after: seconds that a rate limit or overload names; None for no hint.
        in_band: said as the first event of a stream that began with status 200; to a whole reply in its place. The
            policy sees the same failure; a drill performs it.
    """

    kind: FailureKind
    share: Share = 1.0
    after: Spread | None = None
    retry_after: Spread | None = None
    in_band: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"kind": value} if isinstance(value, str) else value

    @field_validator("kind", mode="before")
    @classmethod
    def _upstreams(cls, kind: object) -> object:
        known = [each.value for each in FailureKind if each not in OURS]
        if kind not in known:
            raise ValueError(plugins.unknown("failure of an upstream", str(kind), known))
        return kind


Errors = tuple[Error, ...]


class Capacity(Settings):
    """A server that serves so many at a time; the others wait in line, in order of arrival.

    Attributes:
        concurrency: answers under way at the same time.
        queue: how many may wait.
        overflow: what the next one is told.
        retry_after: the hint with it; None for none.
        crowding: how much slower an answer is when all places are taken, as a share (0.5: half as long again); grows
            linearly with the places taken, as with continuous batching.
    """

    concurrency: AtLeastOne
    queue: Count = 0
    overflow: Literal[FailureKind.OVERLOADED, FailureKind.RATE_LIMITED] = FailureKind.OVERLOADED
    retry_after: Duration | None = None
    crowding: Weight = 0.0

    @property
    def divisible(self) -> bool:
        """Can a share of it be less? One place always stays."""
        return self.concurrency > 1


class RateLimits(Settings):
    """Token buckets, for each upstream key.

    Attributes:
        rpm, tpm: requests and tokens (prompt and completion) a minute; None for unlimited.
        burst: a bucket holds what so long allows (10 s, as Azure's slices).
        hint: the refusal names the seconds to wait (Retry-After).
        tells: every answer tells what is left, in its headers (as OpenAI, Anthropic and Groq do).
    """

    rpm: PerMinute | None = None
    tpm: PerMinute | None = None
    burst: Positive = 10.0
    hint: bool = True
    tells: bool = True


class Quota(Settings):
    """What an account may use in a period; then it says `quota_exhausted` until the next one begins.

    Attributes:
        requests, tokens: the allowance; None for unlimited.
        per: the period, seconds; the first begins with the scenario.
    """

    requests: AtLeastOne | None = None
    tokens: AtLeastOne | None = None
    per: Positive = 86_400.0


class Price(Settings):
    """US dollars per million tokens."""

    input: Weight
    output: Weight

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"input": value, "output": value} if isinstance(value, int | float) else value


class Upstream(Settings):
    """How one upstream behaves. What a section does not say comes from the next less specific one.

    Attributes:
        first_token: from the request to the first content.
        per_token: from one token to the next; drawn once for an answer.
        whole: from the request to a whole (not streamed) reply; None for first_token + tokens x per_token.
        errors: what fails on an ordinary day.
        capacity: how much it can do at a time; None for any amount.
        limits: rate limits of each key; None for none.
        quota: of the account; None for none.
        price: None for unknown, which is not free.
        region: deployments of one region fail together; None for what the configuration says.
    """

    first_token: Spread | None = None
    per_token: Spread | None = None
    whole: Spread | None = None
    errors: Errors | None = None
    capacity: Capacity | None = None
    limits: RateLimits | None = None
    quota: Quota | None = None
    price: Price | None = None
    region: str | None = None

    @field_validator("errors")
    @classmethod
    def _at_most_all(cls, errors: Errors | None) -> Errors | None:
        return None if errors is None else _at_most_all(errors)


class Trouble(Settings):
    """What goes wrong for a while.

    Attributes:
        at: when it begins.
        lasts: how long it goes on.
        where: whom it hits; several are hit together.
        name: for the picture and the report; empty for a description.
        errors: what fails; what is left fails as on an ordinary day.
        slow: so many times slower (a brownout).
        capacity: this share of the usual capacity is left.
        cuts: this share of the answers under way is cut off when it begins.
        down, up: flapping: so long ill, then so long well, and again; 0 for ill all the time.
    """

    at: Duration
    lasts: Positive
    where: tuple[Selector, ...]
    name: str = ""
    errors: Errors = ()
    slow: Factor = 1.0
    capacity: Annotated[Number, Field(gt=0, le=1)] = 1.0
    cuts: Share = 0.0
    down: Duration = 0.0
    up: Duration = 0.0

    @field_validator("where", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("errors", mode="before")
    @classmethod
    def _one_error(cls, value: object) -> object:
        return [value] if isinstance(value, str | Mapping) else value

    @field_validator("errors")
    @classmethod
    def _shares(cls, errors: Errors) -> Errors:
        return _at_most_all(errors)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.where:
            raise ValueError("say where: a target, a provider, primary, region:NAME ...")
        if not (self.errors or self.cuts) and self.slow == 1 and self.capacity == 1:
            raise ValueError("can never take effect: say errors, slow, capacity or cuts")
        if self.errors and not any(error.share for error in self.errors):
            raise ValueError("errors can never take effect: a share must be above 0; or leave them out")
        if (self.down > 0) != (self.up > 0):
            raise ValueError("flapping needs both `down` and `up`")
        return self

    @property
    def title(self) -> str:
        """What it is called."""
        if self.name:
            return self.name
        what = [error.kind.value.replace("_", " ") for error in self.errors[:2]]
        what += [f"{self.slow:g}x slower"] if self.slow != 1 else []
        what += [f"{self.capacity:.0%} capacity"] if self.capacity != 1 else []
        return f"{', '.join(self.where)}: {', '.join(what) or 'cut off'}"


class Scenario(Settings):
    """A stretch of time to rehearse.

    Attributes:
        title: one line.
        about: what it is for, and where its numbers come from.
        duration: how long requests arrive; what is under way then runs to its end.
        seed: where chance begins; the same seed gives the same report, byte for byte.
        workload: who asks.
        upstreams: who answers, by selector.
        troubles: what goes wrong.
        config: a configuration that suits, in the shape of the configuration file; used where none is named.
    """

    title: str
    about: str = ""
    duration: Positive
    seed: Whole = 1
    workload: Workload
    upstreams: Mapping[Selector, Upstream]
    troubles: tuple[Trouble, ...] = ()
    config: Mapping[str, JsonValue] | None = None


def _at_most_all(errors: Errors) -> Errors:
    if sum(error.share for error in errors) > 1 + 1e-9:
        raise ValueError("the shares of all errors together must not be above 1")
    return errors
