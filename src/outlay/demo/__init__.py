"""A believable company whose agents report over OTLP, so that a fresh Outlay has something to show."""
