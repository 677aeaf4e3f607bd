"""THE DRILL: a scenario performed for real. A running gateway, sockets, stand-in providers in the scenario's weather.

What a rehearsal says is worth as much as its model of the world. A drill plays the same requests, with the same
upstreams, troubles and policy, through all that a rehearsal leaves out, and the two reports stand side by side.

* `squeeze` makes minutes of hours. `words` are what is asked and answered, such that every answer can be verified.
* `performance` performs the fate that a `sim.station` decides on the lab's wire; `upstreams` is all of them, `doors`
  refuses connections.
* `wire` asks the gateway one question; `callers` are all who ask; `gateway` is the process under test, `metrics` what
  it says of itself.
* `way` is how much longer than their work attempts take here; `paired` rehearses with the same chance on the same way.
* `live` puts these together; `agreement` holds the outcome against the rehearsal's.

It talks to the gateway as any client does, and to loopback addresses only.
"""
