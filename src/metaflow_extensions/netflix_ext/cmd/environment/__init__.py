"""``metaflow environment``: one file a command. They gather what is asked, call the engine, and show what came out."""
