"""The control API that every lab port answers: make a provider fail, heal it, look at state and journal.

    POST   /lab/faults   {"provider": "openai", "fault": {"status": 503}}; this port's provider if left out, "*" for all
    DELETE /lab/faults   all providers, or ?provider=openai
    GET    /lab/state    addresses, faults in force, counters
    GET    /lab/journal  ?provider=  &after=NUMBER  &limit=N
    DELETE /lab/journal

It asks for no key: the lab listens on loopback and knows no secret.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from standfast.lab.ask import Body, Request
from standfast.lab.faults import read_fault
from standfast.lab.journal import Entry, Journal
from standfast.lab.provider import Provider, known_body, state_of

EVERYONE = "*"


class Control:
    """The control API of a lab."""

    def __init__(self, providers: Mapping[str, Provider], journal: Journal) -> None:
        self._providers = providers
        self._journal = journal

    def __call__(self, provider: Provider, request: Request) -> Body:
        """The answer to a request for `/lab/...` on the port of `provider`."""
        handler = ROUTES.get((request.method, request.path.rstrip("/")))
        if handler is None:
            return _json(404, {"error": "no such route", "routes": sorted(f"{m} {path}" for m, path in ROUTES)})
        try:
            return _json(200, handler(self, provider, request))
        except (ValueError, LookupError) as error:
            return _json(400, {"error": str(error.args[0] if error.args else error)})

    def arm(self, provider: Provider, request: Request) -> object:
        """Put a fault in force; nothing changes if anything in the request is wrong."""
        value = msgspec.json.decode(request.body)
        if not isinstance(value, dict) or "fault" not in value or set(value) - {"provider", "fault"}:
            raise ValueError('expected {"provider": "openai", "fault": {"status": 503}}')
        fault = known_body(read_fault(value["fault"]))
        for each in self._named(value.get("provider"), [provider]):
            each.fail(fault)
        return self.state(provider, request)

    def heal(self, provider: Provider, request: Request) -> object:
        """Lift the faults of one provider, or of all."""
        for each in self._named(request.query.get("provider"), self._providers.values()):
            each.heal()
        return self.state(provider, request)

    def state(self, _provider: Provider, _request: Request) -> object:
        """Every provider's address, faults and counters."""
        return {"providers": {name: state_of(each) for name, each in self._providers.items()}}

    def journal(self, _provider: Provider, request: Request) -> object:
        """Entries, oldest first; the newest `limit` of those after `after`."""
        after, limit = (int(request.query.get(name, usual)) for name, usual in (("after", 0), ("limit", 1000)))
        wanted = request.query.get("provider", "")
        found: list[Entry] = [e for e in self._journal if e.number > after and wanted in ("", e.provider)]
        return {"entries": found[-limit:] if limit > 0 else []}

    def forget(self, _provider: Provider, _request: Request) -> object:
        """Empty the journal."""
        self._journal.clear()
        return {"entries": []}

    def _named(self, name: object, otherwise: Iterable[Provider]) -> list[Provider]:
        if name is None:
            return list(otherwise)
        if name == EVERYONE:
            return list(self._providers.values())
        if not isinstance(name, str) or name not in self._providers:
            raise LookupError(f"no provider {name!r}; known: {', '.join(self._providers)}")
        return [self._providers[name]]


def _json(status: int, value: object) -> Body:
    return Body(status, "application/json", msgspec.json.encode(value) + b"\n")


ROUTES: Mapping[tuple[str, str], Callable[[Control, Provider, Request], object]] = {
    ("POST", "/lab/faults"): Control.arm,
    ("DELETE", "/lab/faults"): Control.heal,
    ("GET", "/lab/state"): Control.state,
    ("GET", "/lab/journal"): Control.journal,
    ("DELETE", "/lab/journal"): Control.forget,
}
