"""The command line: one file a noun, each loaded only when it is called."""
