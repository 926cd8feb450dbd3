"""Which addresses a probe may reach."""

import pytest

from readiness.probes.addresses import AddressPolicy, explain_refusal

EVERYTHING = AddressPolicy(allow_loopback=True, allow_private=True)
NOTHING_LOCAL = AddressPolicy(allow_loopback=False, allow_private=False)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.0.1",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "::ffff:100.100.100.200",
        "168.63.129.16",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "::ffff:0.0.0.0",
    ],
)
def test_it_refuses_metadata_link_local_multicast_and_unspecified_under_every_policy(address: str) -> None:
    assert explain_refusal(address, EVERYTHING) is not None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_it_allows_loopback_only_when_the_policy_says_so(address: str) -> None:
    assert explain_refusal(address, EVERYTHING) is None
    assert explain_refusal(address, AddressPolicy(allow_loopback=False, allow_private=True)) is not None


@pytest.mark.parametrize("address", ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "fec0::1"])
def test_it_allows_private_ranges_only_when_the_policy_says_so(address: str) -> None:
    assert explain_refusal(address, EVERYTHING) is None
    assert explain_refusal(address, NOTHING_LOCAL) is not None


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_it_allows_public_addresses_always(address: str) -> None:
    assert explain_refusal(address, NOTHING_LOCAL) is None
