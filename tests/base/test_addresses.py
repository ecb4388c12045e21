"""What may be called on somebody else's word."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.base.addresses import WebAddress, is_public

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8"]
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.0.8", "192.0.2.1", "192.168.1.1", "192.88.99.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
    "::ffff:0:7f00:1", "3fff::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0",
    "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_the_open_internet_is_public(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_everything_else_is_not(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://shop.example/hook?a=1", ("https", "shop.example", 443, "/hook?a=1")),
        ("http://SHOP.example:8080", ("http", "shop.example", 8080, "/")),
        ("https://[2606:4700::1111]/x", ("https", "2606:4700::1111", 443, "/x")),
        ("https://shop.example./x", ("https", "shop.example", 443, "/x")),
    ],
)
def test_ordinary_urls_are_taken_apart(url, parts):
    target = WebAddress.parse(url)
    assert (target.scheme, target.host, target.port, target.path) == parts


@pytest.mark.parametrize(
    "url",
    [
        "", "shop.example/hook", "//shop.example", "ftp://shop.example", "gopher://shop.example:70/_x", "file:///etc/passwd",
        "javascript:alert(1)", "https://", "https:///x", "https://user@shop.example", "https://user:pass@shop.example",
        "https://a@b@c", "https://shop.example#x", "https://shop.example#", "https://shop.example:22/", "https://shop.example:25/",
        "https://shop.example:0/", "https://shop.example:99999/", "https://shop.example:x/", "https://shop.example\\@evil.example/",
        "https://shop.example/ x", "https://shop.example/\r\nHost: x", "https://shop.example/\t", "https://sh\u00f6p.example/",
        "https://[::1%25eth0]/", "https://[::1/", "https://shop.example/" + "x" * 2000, "http://%31%32%37.0.0.1/",
    ],
)  # fmt: skip
def test_unusual_urls_are_refused(url):
    with pytest.raises(ValueError, match="expected"):
        WebAddress.parse(url)


@given(st.text(max_size=60) | st.from_regex(r"https?://[^/]{0,30}(:[0-9]{1,6})?/.{0,10}"))
def test_parsing_is_total(url):
    """Any text gives an address or a ValueError, and what it gives, it gives again."""
    try:
        target = WebAddress.parse(url)
    except ValueError:
        return
    assert WebAddress.parse(f"{target.scheme}://{target.netloc}{target.path}") == target


def test_the_address_takes_the_place_of_the_name():
    target = WebAddress.parse("https://shop.example:8443/hook?a=1")
    assert target.netloc == "shop.example:8443"
    assert target.url_at(ip_address("8.8.8.8")) == "https://8.8.8.8:8443/hook?a=1"
    assert target.url_at(ip_address("2606:4700::1111")) == "https://[2606:4700::1111]:8443/hook?a=1"
