"""How the embedded base model `pocket` is made, end to end, from package registries."""
