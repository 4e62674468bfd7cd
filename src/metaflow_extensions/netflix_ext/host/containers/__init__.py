"""Steps in containers: what is made ready for them at launch, what travels, and the two stages that create there."""
