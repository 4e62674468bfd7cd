"""What commands do with environments: describe, name, list, show and open them by hand. A run does none of it."""
