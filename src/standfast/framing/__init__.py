"""Sans-IO byte framing."""
