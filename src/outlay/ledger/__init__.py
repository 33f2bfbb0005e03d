"""The books: posting, correcting, rebuilding; the store protocol and its engines."""
