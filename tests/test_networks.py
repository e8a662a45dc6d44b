"""Networks that requests come from: `when.from` of a grant and `guardrails.from` take and refuse the same."""

from __future__ import annotations

import pytest

from dutybound.compiler import compile_text
from tests.test_bad_input import UNSAID
from tests.test_compile import BASE

DUTY = """
duties:
  own:
    summary: Start servers from one place
    grants: [{{actions: [ec2:StartInstances], resources: {{instance: "*"}}, when: {{from: ["{0}"]}}}}]
    expect:
      - {{allow: ec2:StartInstances on arn:aws:ec2:eu-west-1:111122223333:instance/i-1, when: {{aws:SourceIp: "{1}"}}}}
      - {{deny: ec2:RunInstances}}
"""
GUARDRAIL = 'guardrails: {{from: ["{0}"]}}\n'


def found(config: str, network: str) -> list[str]:
    """The names of what is wrong with the configuration with this network."""
    address = network.partition("/")[0]
    diagnostics = compile_text(BASE + config.format(network, address)).diagnostics
    return [d.name for d in diagnostics if d.name not in UNSAID]


@pytest.mark.parametrize("config", [DUTY, GUARDRAIL], ids=["when", "guardrails"])
@pytest.mark.parametrize("network", ["203.0.113.0/24", "203.0.113.7", "203.0.113.7/32", "2001:DB8::/32", "99.0.0.0/8"])
def test_public_networks_are_taken(config: str, network: str) -> None:
    """However an address of one's own is written."""
    assert found(config, network) == []


@pytest.mark.parametrize("config", [DUTY, GUARDRAIL], ids=["when", "guardrails"])
@pytest.mark.parametrize(
    "network",
    [
        *("10.1.0.0/16", "172.16.0.0/12", "192.168.7.9", "100.64.0.0/10", "127.0.0.1", "169.254.0.0/16"),
        *("fd00::/8", "fe80::1", "::1", "0.0.0.0/0", "::/0", "203.0.113.7/24", "203.0.113.0/33"),
    ],
)
def test_networks_that_no_request_comes_from_are_refused(config: str, network: str) -> None:
    """With them a grant would never hold, or a guardrail would lock everybody out, or neither would limit anything."""
    assert found(config, network) in (["wrong-network"], ["useless-guardrail"])
