"""Past tasks opened again: chosen, read, written as a notebook with its environment, executed, compared."""
