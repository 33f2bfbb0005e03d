"""Ask, format, send: API, CLI and web. No arithmetic."""
