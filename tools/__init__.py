"""What `make` runs: the set-up of the environment, the synthesis, and the raising of the pins."""
