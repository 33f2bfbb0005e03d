"""Bodies: how every provider's requests and answers are read for what they use, one foreign shape a file."""
