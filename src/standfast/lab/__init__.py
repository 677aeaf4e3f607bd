"""Fault-injecting stand-in providers that speak the real wire formats: for the demo, drills and tests."""
