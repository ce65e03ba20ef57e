"""The HTTP layer: what happens to a request before a route sees it, and how errors are answered."""
