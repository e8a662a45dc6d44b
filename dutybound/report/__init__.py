"""Reports of who has which access and why: `gather` makes `Facts`, the other modules write them down."""
