"""What an app's wishes for Debian packages come to beside a stack, by a made-up index."""

from __future__ import annotations

from debian_archive import MIRRORS, Pages, keyring, publish, stanza

from stager.ecosystems.deb import wanted
from stager.ecosystems.deb.index import Index, packages


def index(*stanzas: str) -> Index:
    web = Pages()
    publish(web, MIRRORS.archive, "bookworm", stanzas)
    return packages(web, MIRRORS.archive, "bookworm", "main", "amd64", keyring("archive"))


def names(found: Index, *asked: str, there: dict[str, str] | None = None) -> list[str]:
    stanzas, missing = wanted.closure(found, asked, there or {})
    assert missing == []
    return [one.name for one in stanzas]


def test_all_that_is_needed_and_that_the_stack_has_not() -> None:
    found = index(
        stanza("tool", Depends="libtool (= 1.0-1), libz (>= 1), debconf (>= 0.5) | debconf-2.0, libc6 (>= 2.36)"),
        stanza("libtool", Pre_Depends="libdeep", Depends="tool"),
        stanza("libdeep"),
        stanza("libz", "1.2"),
        stanza("debconf"),
    )
    assert names(found, "tool") == ["libdeep", "libtool", "libz", "tool"]
    assert names(found, "tool", there={"libz": "1.2"}) == ["libdeep", "libtool", "tool"]


def test_what_the_stack_has_too_old_is_brought() -> None:
    found = index(stanza("tool", Depends="libz (>= 1.3)"), stanza("libz", "1.3"))
    assert names(found, "tool", there={"libz": "1.2"}) == ["libz", "tool"]


def test_of_alternatives_what_is_there_counts_then_the_first_that_fits() -> None:
    found = index(
        stanza("tool", Depends="big (>= 2) | small, gl-driver | gl"),
        stanza("big"),
        stanza("small"),
        stanza("mesa", Provides="gl (= 1), gl-driver"),
        stanza("zgl", Provides="gl-driver"),
    )
    assert names(found, "tool") == ["mesa", "small", "tool"]
    assert names(found, "tool", "zgl", there={"small": "1"}) == ["mesa", "tool", "zgl"]


def test_what_the_stacks_packages_provide_is_there() -> None:
    found = index(stanza("tool", Depends="awk"), stanza("mawk", Provides="awk"), stanza("gawk", Provides="awk"))
    assert names(found, "tool", there={"mawk": "1"}) == ["tool"]
    assert names(found, "tool") == ["gawk", "tool"]


def test_files_for_compiling_are_left_out_and_what_they_lead_to_is_not() -> None:
    found = index(stanza("libpq-dev", Section="libdevel", Depends="libpq5"), stanza("libpq5", Section="libs"))
    assert names(found, "libpq-dev") == ["libpq5"]


def test_a_need_that_nothing_meets() -> None:
    found = index(stanza("tool", Depends="libz (>= 9) | nothing"), stanza("libz"))
    assert wanted.closure(found, ["tool"], {})[1] == ["tool depends on libz (>= 9) | nothing"]


def test_a_name_that_another_package_provides() -> None:
    found = index(stanza("mesa", Provides="gl"), stanza("agl", Provides="gl"), stanza("gl2"))
    assert [wanted.real(found, name) for name in ("mesa", "gl", "gl3")] == ["mesa", "agl", ""]


def test_services_of_the_system_are_known() -> None:
    found = index(
        stanza("server", Depends="adduser, lsb-base"),
        stanza("redis-server", Source="redis (1.0)", Depends="redis-tools, lsb-base"),
        stanza("redis-tools", Source="redis", Depends="adduser"),
        stanza("rsync", Depends="lsb-base, libz"),
        stanza("libz", Depends="adduser"),
        stanza("ssh-client", Depends="adduser, init-system-helpers"),
    )
    assert [name for name in sorted(found) if wanted.is_service(found, name)] == ["redis-server", "server"]
