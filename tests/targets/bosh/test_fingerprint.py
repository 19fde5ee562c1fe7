"""Fingerprints equal examples worked out with `printf … | sha256sum` from the rules of the bosh client.

The files hold `a`, newline (87428fc5…) or `b`, newline (02638299…), so that anyone can work them out again.
"""

from __future__ import annotations

from stager.digest import sha256
from stager.targets.bosh.fingerprint import Fingerprinted, fingerprint, of_job, of_package

A, B = sha256(b"a\n"), sha256(b"b\n")


def test_the_digests_that_the_examples_rest_on() -> None:
    assert A == "sha256:87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"
    assert B == "sha256:0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f"


def test_nothing_but_the_scheme() -> None:
    """printf v2"""
    assert fingerprint({}) == "fb04dcb6970e4c3d1873de51fd5a50d7bb46b3383113602665c350ec40b5f990"


def test_a_job() -> None:
    """printf 'v2job.MFsha256:%s100644monitsha256:%s100644templates/ctl.erbsha256:%s100644' A B A"""
    files = {"templates/ctl.erb": "a\n", "monit": "b\n", "job.MF": "a\n"}
    assert of_job(files) == "51308b15874109964ce5ebb13b689e6af08f57ed636479e923d0d62e4c0257e1"


def test_a_package_whose_script_counts_without_a_mode() -> None:
    """printf 'v2droplet.tgzsha256:%s100644packagingsha256:%s' A B"""
    found = of_package("b\n", {"droplet.tgz": A})
    assert found == "7e7921e8e92037b3fe72819f5405c4032487a554f12fb8ad1ce65840b5daf92d"


def test_dependencies_come_last_sorted_and_joined() -> None:
    """printf 'v2binsha256:%s100755droplet.tgzsha256:%s100644packagingsha256:%slibyaml,ruby' B A B"""
    files = {
        "packaging": Fingerprinted(B, ""),
        "droplet.tgz": Fingerprinted(A),
        "bin": Fingerprinted(B, "100755"),
    }
    wanted = "fd758d15a27cc113ff30b00205bbe46d789f9967aaf289118c1aa8ee5c825fe6"
    assert fingerprint(files, ["ruby", "libyaml"]) == wanted


def test_paths_are_in_the_order_of_their_bytes() -> None:
    """printf 'v2B.txtsha256:%s100644a.txtsha256:%s100644a/bsha256:%s100644' A A B"""
    files = {"a/b": Fingerprinted(B), "a.txt": Fingerprinted(A), "B.txt": Fingerprinted(A)}
    assert fingerprint(files) == "a1c4d3e09bfb73d91f9881cef8782a026c9c0595779d6b5394a824a66c8c1c88"
