"""``metaflow debug``: one file a command."""
