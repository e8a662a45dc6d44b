"""The same resources, written for other tools: what Dutybound is measured beside.

Each program here is one that somebody would write by hand, with what to make as data instead of as code:
`PROGRAM DESCRIPTION OUT`. `described` makes the description out of finished templates.
"""
