"""The circuit breaker for any Python callable: the gateway's own machine with a lock, a clock and listeners.

breaker = CircuitBreaker("billing", consecutive=3, open=10.0)

total = breaker.call(fetch_total, user, fallback=lambda error: 0)     # a function
total = await breaker.acall(fetch_total_async, user)                  # a coroutine function

@breaker                                                              # either, as a decorator
def fetch(): ...

with breaker: ...                                                     # a block; `async with` likewise
"""

from standfast.circuit.breaker import CircuitBreaker

__all__ = ["CircuitBreaker"]
