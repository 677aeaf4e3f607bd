"""THE DOOR: data-plane routes, auth, the FastAPI application; talks to Gateway and nothing deeper."""
