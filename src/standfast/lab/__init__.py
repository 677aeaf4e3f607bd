"""Fault-injecting stand-in providers that speak the real wire formats: for the demo, drills and tests.

    async with Lab() as lab:
        lab.openai.fail(Fault(status=503, times=2))
        ...  # requests to lab.openai.url
        assert lab.journal[-1].outcome == "answered"

Every port also answers `/lab/faults`, `/lab/state` and `/lab/journal`, so that a curl line makes a provider fail.
The lab shares no code with the gateway's own formats and wire: a double must not share the bugs of what it tests.
"""

from standfast.lab.faults import Fault, parse_fault
from standfast.lab.journal import Entry
from standfast.lab.server import Lab
from standfast.lab.settings import LabSettings, ProviderSettings

__all__ = ["Entry", "Fault", "Lab", "LabSettings", "ProviderSettings", "parse_fault"]
