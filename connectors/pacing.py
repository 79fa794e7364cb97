"""One budget per credential: how fast we may ask, and what we must wait for."""

# The room of the pacer: limits read from the answers' headers, parked-until times obeyed exactly, monotonic clock.
