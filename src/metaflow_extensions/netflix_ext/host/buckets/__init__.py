"""One kind of datastore a file: objects by name, through what Metaflow's own class for it gives."""
