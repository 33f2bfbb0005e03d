"""Inside an agent: tag, meter, complete. Standard library and `outlay.core` only; never blocks, never raises."""
