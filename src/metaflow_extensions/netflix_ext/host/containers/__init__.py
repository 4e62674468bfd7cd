"""Steps in containers: what travels to them, and the two stages that make the environment there."""
