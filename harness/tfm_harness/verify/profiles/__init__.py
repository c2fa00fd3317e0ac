"""Result profiles that come with the harness, as YAML; vendors write their own in the same form."""
