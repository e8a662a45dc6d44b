"""What Dutybound's results cost, measured."""
