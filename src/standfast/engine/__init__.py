"""THE HANDS: they perform what the judgement decides."""
