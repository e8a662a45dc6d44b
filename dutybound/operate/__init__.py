"""What acts on a live organization: the only part of Dutybound that calls AWS.

    Configuration ----------------.
    AWS -> look -> Found -> plan -> Plan -> act -> AWS, until the plan is empty

`plan` decides and calls nothing; `look` and `act` call and decide nothing. No state is kept anywhere but in AWS:
whoever stops in the middle looks again and goes on with what is left. Nothing is ever deleted.
"""
