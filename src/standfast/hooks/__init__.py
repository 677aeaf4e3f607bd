"""ONE FILE = ONE LISTENER: metrics, access log."""
