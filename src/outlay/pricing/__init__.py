"""The dated price book and the rates for tokens, calls and seconds."""
