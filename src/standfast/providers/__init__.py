"""ONE FILE = ONE PROVIDER: endpoint, auth, which format, quirks, how its errors classify. The contract is `base.py`."""
