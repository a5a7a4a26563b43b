"""A package, so that the deployment its tests share ends with them: one embedded AWS runs in a process."""
