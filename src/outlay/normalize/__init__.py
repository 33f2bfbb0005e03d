"""Facts become usages: spellings, token basis, identity, roll-ups, inheritance, attempts."""
