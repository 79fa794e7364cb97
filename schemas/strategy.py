"""The strategy file: a strategy, its plan, and the rules that tie work to both."""
