"""ONE FILE = ONE WAY TO CHOOSE: ranks targets. The contract is `standfast.policy.strategy.Strategy`."""
