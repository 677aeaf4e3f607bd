"""THE WINDOW: admin API, websocket feed, the web page; looks through `Gateway` and nothing deeper."""
