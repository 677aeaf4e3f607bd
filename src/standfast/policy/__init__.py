"""THE JUDGEMENT: pure state machines; `now` is an argument. They decide, they never do."""
