"""THE WIRE: server protocol (with hand-over to uvicorn), upstream client and pool, timer wheel. Contracts: base.py."""
