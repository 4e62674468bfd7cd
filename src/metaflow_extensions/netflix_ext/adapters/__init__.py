"""One foreign thing a file, behind the ports of the engine."""
