"""ONE FILE = ONE WIRE FORMAT, both directions. The contract is `base.py`."""
