"""The small transactional store: keys, the audit log, and what is decided about money."""
