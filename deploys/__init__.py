"""One flat recipe per role, and the templates they render."""
