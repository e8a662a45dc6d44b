"""`python -m dutybound`: the `dutybound` command, where its script is not on the path."""

from dutybound.cli import main

if __name__ == "__main__":
    main()
