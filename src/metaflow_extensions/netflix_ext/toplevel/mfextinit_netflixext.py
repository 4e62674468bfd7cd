"""The extension point of Metaflow that names our top-level module."""

toplevel = "netflixext_toplevel"
