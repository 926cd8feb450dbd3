"""Reads one IP address and a policy; answers whether a probe may connect to it. Pure: opens nothing."""

import ipaddress
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Endpoints that hand out cloud credentials to whoever can reach them. Most are link-local and refused as such;
# the others sit in ranges that a policy may allow, so they are named.
METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, GCP, Azure, OpenStack, DigitalOcean
        "169.254.170.2",  # AWS container credentials
        "169.254.170.23",  # AWS EKS pod identity
        "fd00:ec2::254",  # AWS over IPv6
        "fd00:ec2::23",  # AWS EKS pod identity over IPv6
        "fd20:ce::254",  # GCP over IPv6
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud, old
        "168.63.129.16",  # Azure's host agent
    )
)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")
_CARRIER_GRADE_NAT = ipaddress.IPv4Network("100.64.0.0/10")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which ranges may be probed. Metadata, link-local, multicast and unspecified addresses never are."""

    allow_loopback: bool = False
    allow_private: bool = True


def unwrap_address(address: IPAddress) -> IPAddress:
    """Return the IPv4 address that an IPv6 form carries (mapped, compatible, NAT64, 6to4), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    low_bits = int(address) & 0xFFFFFFFF
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(low_bits)
    if int(address) >> 32 == 0 and low_bits > 1:  # the deprecated ::a.b.c.d form; :: and ::1 are themselves
        return ipaddress.IPv4Address(low_bits)
    return address


def explain_refusal(text: str, policy: AddressPolicy) -> str | None:
    """Say in a few words why `text`, an IP address, may not be connected to; None when it may."""
    outer = ipaddress.ip_address(text.partition("%")[0])
    address = unwrap_address(outer)
    if outer in METADATA_ADDRESSES or address in METADATA_ADDRESSES:
        return "it is a cloud metadata address"
    if outer.is_link_local or address.is_link_local:
        return "it is a link-local address"
    if address.is_multicast:
        return "it is a multicast address"
    if address.is_unspecified or (isinstance(address, ipaddress.IPv4Address) and address in _THIS_NETWORK):
        return "it is the unspecified address"
    if address.is_loopback:
        return None if policy.allow_loopback else "it is a loopback address"
    if _is_private(address) and not policy.allow_private:
        return "it is a private address"
    return None


def _is_private(address: IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_private or address.is_reserved or address in _CARRIER_GRADE_NAT
    return address.is_private or address.is_reserved or address in _SITE_LOCAL
