"""The HTTP API: the same questions as the command line, and the door for OTLP."""
