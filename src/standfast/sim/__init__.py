"""THE REHEARSAL: the same policy, virtual time, no asyncio. What would this configuration have done?

A scenario is the weather, a configuration is the house; nothing in this room decides anything that policy decides.

* `settings`, `spread` say what a scenario is; `files` reads one, `cast` applies it to a configuration, `house` is the
  configuration, `sweep` its variants.
* `world` is virtual time. `arrivals` and `crowd` bring requests; `drive` performs one exchange, `call` is one attempt,
  `station` one upstream, `weather` its troubles; `customer` asks again and hangs up, `direct` has no gateway;
  `checkup` looks at the targets' health.
* `stage` puts these together and plays them.
* `ending`, `tally`, `sketch` count; `books` enters records of a real run; `report` says what it amounts to, `require`
  holds it against requirements, `picture` and `canvas` draw it.
* `recorded` makes a scenario of an access log; `matrix` compares ways to serve.

It never imports the engine, the wire or asyncio.
"""
