"""THE WIRE: server protocol (with hand-over to uvicorn), upstream client and pool, timer wheel. The contracts are `base.py`."""
