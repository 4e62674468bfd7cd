"""The pure part: specs, resolved environments, identity, and the use cases over ports."""
