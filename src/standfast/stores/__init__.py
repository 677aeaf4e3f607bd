"""One file = one place to keep things. `base` is the contract."""
