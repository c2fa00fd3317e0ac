"""Requirements, checks and suites: the requirements that each suite proves for a build."""
