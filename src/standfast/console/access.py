"""Who may look, and who may act. Shut unless something opens it.

There are three cases:

* console keys are configured: one of them is needed, as `Authorization: Bearer ...` or, in a browser, exchanged for a
  cookie. A viewer's key looks, an operator's acts as well.
* none are, requests need no client key either, and the port is bound to loopback: whoever is on this machine is the
  operator. A browser on this machine also runs other people's pages, so the `Host` must be a name of this machine (a
  rebound DNS name is not), and nothing may say that the request was forwarded.
* otherwise it is shut.

In all cases a browser's `Origin` must be the address that it asks, or one of `console.origins`, wherever something is
done or listened to; a page elsewhere can do neither with its reader's cookie.

The cookie is no session on the server but a signed word: name, end, and an HMAC under a digest of the key, so that it
holds in every process that shares the port and over a restart, and ends with the key. (A signed word cannot be taken
back before its end; signing out removes it from the browser. To shut everybody out, change the key.)
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from standfast.config.references import is_loopback
from standfast.config.schema import Config, ConsoleKey
from standfast.console.messages import Role
from standfast.errors import Fault, StandfastError, Unauthorized

COOKIE: Final = "standfast_console"
_PURPOSE: Final = b"standfast console session"
_BEARER: Final = "bearer "
_FORWARDED: Final = re.compile(r"forwarded|x-forwarded.*|via|x-real-ip|x-client-ip|true-client-ip|cf-connecting-ip")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(:\d*)?")
"""A host and a port, and nothing else that an address may hold: what is before an `@` is no host."""

_SCHEMES: Final = ("http", "https")


class KeyNeeded(Unauthorized):
    """No key, an unknown one, or signing in was too long ago."""

    code = "console_key_needed"


class Closed(StandfastError):
    """The console lets nobody in, as it is configured."""

    status = 403
    code = "console_closed"
    type = "permission_error"
    fault = Fault.OPERATOR
    should_retry = False


class NotAllowed(StandfastError):
    """Who asks may not do this, or not from where it comes."""

    status = 403
    code = "console_not_allowed"
    type = "permission_error"
    fault = Fault.CLIENT
    should_retry = False


class SwitchedOff(StandfastError):
    """`console.enabled` is false."""

    status = 404
    code = "console_off"
    type = "invalid_request_error"
    fault = Fault.OPERATOR
    should_retry = False


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who was let in.

    Attributes:
        name: of the key; empty where none is needed.
        role: viewer or operator.
        open: no key is needed.
    """

    name: str
    role: Role
    open: bool = False


class Access:
    """Judges by headers; knows no framework.

    Args:
        config: gives the configuration at work.
        wall: gives Unix seconds.
    """

    __slots__ = ("_config", "_wall")

    def __init__(self, config: Callable[[], Config], wall: Callable[[], float]) -> None:
        self._config = config
        self._wall = wall

    def look(self, headers: Mapping[str, str]) -> Viewer:
        """Who this is.

        Args:
            headers: lower-case names; one that was sent twice is joined with `, `, so that neither of the two holds.

        Raises:
            KeyNeeded, Closed, NotAllowed, SwitchedOff: nobody who may look.
        """
        config = self._switched_on()
        keys = config.console.keys
        if not keys:
            return _neighbour(config, headers)
        entry = _by_bearer(keys, headers) or self._by_cookie(keys, headers)
        if entry is None:
            raise KeyNeeded("Sign in with a console key; keys are listed under 'console.keys' in the configuration.")
        return Viewer(entry.name, entry.role)

    def listen(self, headers: Mapping[str, str]) -> Viewer:
        """The same for a websocket, where a browser sends its cookies to whichever page opens it.

        Raises:
            KeyNeeded, Closed, NotAllowed, SwitchedOff: nobody who may listen.
        """
        viewer = self.look(headers)
        self.check_origin(headers)
        return viewer

    def act(self, headers: Mapping[str, str]) -> Viewer:
        """The same for what changes something.

        Raises:
            KeyNeeded, Closed, NotAllowed, SwitchedOff: nobody who may act.
        """
        viewer = self.listen(headers)
        if viewer.role != "operator":
            raise NotAllowed(f"The key {viewer.name!r} is a viewer's; ask somebody with an operator's key.")
        return viewer

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """A browser names the page that asks: it must be ours. Who is no browser names none.

        Raises:
            NotAllowed: a page from elsewhere.
        """
        origin = headers.get("origin")
        if origin is None or origin in self._config().console.origins:
            return
        scheme, _, address = origin.lower().partition("://")
        if scheme not in _SCHEMES or address != headers.get("host", "").lower():
            raise NotAllowed(
                f"A page of {origin[:200]!r} may not use this console. If it is yours, add it to 'console.origins'."
            )

    def sign_in(self, key: str, headers: Mapping[str, str]) -> tuple[Viewer, str, int]:
        """Exchange a key for a cookie: who it is, the cookie's value, and for how many seconds it holds.

        Raises:
            KeyNeeded: no console key.
            Closed, NotAllowed, SwitchedOff: as `look`.
        """
        config = self._switched_on()
        self.check_origin(headers)
        if not config.console.keys:
            return _neighbour(config, headers), "", 0  # there is nothing to exchange
        entry = _by_bearer(config.console.keys, {"authorization": f"{_BEARER}{key.strip()}"})
        if entry is None:
            raise KeyNeeded("That is not a console key. Keys are listed under 'console.keys' in the configuration.")
        seconds = int(config.console.session)
        word = f"{_bytes(entry.name).hex()}.{int(self._wall()) + seconds}"
        return Viewer(entry.name, entry.role), f"{word}.{_signature(entry, word)}", seconds

    def _switched_on(self) -> Config:
        config = self._config()
        if not config.console.enabled:
            raise SwitchedOff("The console is switched off (console.enabled is false in the configuration).")
        return config

    def _by_cookie(self, keys: tuple[ConsoleKey, ...], headers: Mapping[str, str]) -> ConsoleKey | None:
        word, _, signature = _cookie(headers.get("cookie", "")).rpartition(".")
        name, _, end = word.partition(".")
        if not end.isascii() or not end.isdigit() or int(end[:12]) <= self._wall():
            return None
        named = (entry for entry in keys if _bytes(entry.name).hex() == name)
        signed = (each for each in named if hmac.compare_digest(_signature(each, word).encode(), _bytes(signature)))
        return next(signed, None)


def _neighbour(config: Config, headers: Mapping[str, str]) -> Viewer:
    """Whoever is on this machine, if nobody else can reach the port and requests need no key either."""
    if config.keys or not is_loopback(config.server.host):
        why = "client keys are configured" if config.keys else f"others can reach {config.server.host}"
        raise Closed(
            f"The console is shut: {why}, and there are no console keys. Add one to the configuration: "
            'console: {keys: [{name: me, key: "${STANDFAST_CONSOLE_KEY}"}]}, with 16 characters or more.'
        )
    forwarded = next((name for name in headers if _FORWARDED.fullmatch(name)), "")
    host = headers.get("host", "")
    named = _HOST.fullmatch(host)
    if forwarded or named is None or not is_loopback(named[1]):
        why = f"{forwarded!r} says that this was forwarded" if forwarded else f"{host[:200]!r} is no name of it"
        raise NotAllowed(
            f"Without console keys the console answers this machine alone, and {why}. "
            "Use http://127.0.0.1, or add a key under 'console.keys'."
        )
    return Viewer("", "operator", open=True)


def _by_bearer(keys: tuple[ConsoleKey, ...], headers: Mapping[str, str]) -> ConsoleKey | None:
    given = headers.get("authorization", "")
    if given[: len(_BEARER)].lower() != _BEARER:
        return None
    digest = _digest(given[len(_BEARER) :].strip())
    fitting = [entry for entry in keys if hmac.compare_digest(_digest(entry.key.get_secret_value()), digest)]
    return fitting[0] if fitting else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(_bytes(key)).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _signature(entry: ConsoleKey, word: str) -> str:
    key = hmac.digest(_digest(entry.key.get_secret_value()), _PURPOSE, "sha256")
    return hmac.digest(key, _bytes(word), "sha256").hex()


def _cookie(header: str) -> str:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
