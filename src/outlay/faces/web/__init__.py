"""The web page: server-rendered HTML and SVG, one stylesheet, no build step."""
