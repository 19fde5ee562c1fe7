"""Which sources are built to a Python, when, and what a lock says of it; that they are, `tests/builds` shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from choosing import choose_python
from debian_archive import MIRRORS, Pages, description, keyring, publish, source, stanza

from stager import runtimes
from stager.builds import recipes
from stager.digest import sha256
from stager.ecosystems.deb.index import DebianMirrors
from stager.ecosystems.errors import BadSignature
from stager.errors import NeedsBuild
from stager.facts import stacks
from stager.fetching.locating import gone, locate
from stager.model import Artifact, Build, Plan, Reason, Stack
from stager.net.errors import NotCached, NotFound, Unreachable
from stager.net.indexes import Indexes, default_debian
from stager.net.indexes.apt_sources import AptSource
from stager.planning import builds, lockfile, surroundings
from stager.planning.layouts import recipe
from stager.runtimes import python_sources
from stager.runtimes.chosen import ChosenRuntime
from stager.runtimes.errors import NoRuntime
from stager.runtimes.record import RuntimeRequest
from stager.runtimes.standalone import pbs_url

DEBIAN, UBUNTU = stacks.load("debian-12"), stacks.load("heroku-24")
PURL = "pkg:generic/cpython@3.13.15?variant=source"


class Network(Pages):
    """A mirror of Debian's that answers 404 for what it has not, and nothing else that answers."""

    def get(self, url: str, *, accept: str = "") -> bytes:
        if url not in self.pages and url.startswith("https://deb.example/debian/pool/"):
            raise NotFound(url)
        return super().get(url, accept=accept)

    def carry(self, name: str, *versions: str) -> None:
        """Have the descriptions of these versions of a source package."""
        for version in versions:
            file = f"{name}_{version}.dsc"
            self.pages[f"https://deb.example/debian/pool/main/p/{name}/{file}"] = description(file)

    def answer(self, artifact: Artifact) -> None:
        """Have what says that python-build-standalone's archive answers."""
        self.pages[pbs_url(artifact).rpartition("/")[0] + "/SHA256SUMS"] = b""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Network:
    """The stack's packages; sid with several lines, of which the mirror has not all; forky with one; no trixie at all."""
    real = stacks.read
    monkeypatch.setattr(stacks, "read", lambda name: replace(real(name), keyring=keyring("archive")))
    found, own = Network(), real("debian-12")
    names = sorted({*own.sets["python"].packages, *own.sets["python"].built})
    publish(found, MIRRORS.archive, "bookworm", [stanza(name, "1:3.11.2-6") for name in names])
    publish(found, MIRRORS.archive, "bookworm-updates")
    publish(found, MIRRORS.security, "bookworm-security")
    listed = [("3.13", "3.13.15-1"), ("3.13", "3.13.18-1"), ("3.13", "3.13.9-2"), ("3.14", "3.14.10-1")]
    sid = [source(f"python{line}", version) for line, version in listed]
    publish(found, MIRRORS.archive, "sid", sid, architecture="source")
    publish(found, MIRRORS.archive, "forky", [source("python3.14", "3.14.8-1")], architecture="source")
    found.carry("python3.13", "3.13.15-1", "3.13.9-2")
    found.carry("python3.14", "3.14.8-1")
    return found


def asked(*texts: str) -> list[tuple[str, Reason]]:
    return [(text, Reason("asked for", "a.toml", 1)) for text in texts]


def choose(web: Pages, *texts: str, stack: Stack = DEBIAN, previous: Plan | None = None) -> ChosenRuntime:
    return choose_python(asked(*texts), stack, web, MIRRORS, previous)


def plan(chosen: ChosenRuntime) -> Plan:
    """A plan that holds this choice and nothing else, its root not pinned."""
    root = replace(
        builds.roots({one.root: chosen.wants for one in chosen.builds}, (), "debian-12")[0],
        epoch="2026-01-01T00:00:00Z",
    )
    return Plan(
        "debian-12", "amd64", "c", (), (), (chosen.runtime,), chosen.artifacts, chosen.links, chosen.files, (), (),
        builds=chosen.builds, roots=(root,),
    )  # fmt: skip


# --- what is chosen --------------------------------------------------------------------------------------------


def test_sources_are_built_where_no_build_can_be_fetched(web: Network) -> None:
    chosen = choose(web, "3.13")
    why = Reason("built from its sources, as no build of it could be fetched, which satisfies '3.13'", "a.toml", 1)
    assert (chosen.runtime.version, chosen.runtime.source, chosen.runtime.glibc) == ("3.13.15", "sources", (2, 36))
    assert chosen.runtime.reason == why
    first, *beside = chosen.artifacts
    name = "python3.13_3.13.15.orig.tar.xz"
    data = description(name)
    place = (".stager/python",)
    assert first == Artifact(PURL, f"pool/main/p/python3.13/{name}", sha256(data), "cpython-source/1", place, len(data))
    assert {one.purl.partition("@")[0].rpartition("/")[2] for one in beside} >= {"libssl3", "libzstd1", "tzdata"}
    assert {one.layout for one in beside} == {"deb-python/1"}
    assert chosen.builds == (Build("cpython", "artifact", "cpython", "stager:cpython/1", why, of=PURL, on="nothing"),)
    assert {"gcc", "libssl-dev", "make"} <= {*chosen.wants}
    assert chosen.links[0] == (".stager/python/bin/python", "python3.13")
    assert chosen.files[0][0] == ".stager/python/lib/python3.13/site-packages/stager.pth"
    (note,) = chosen.notes
    assert note.startswith("Python 3.13.15 is built from its sources: ")
    assert "SHA256SUMS" in note


def test_python_build_standalone_comes_first_where_it_answers(web: Network) -> None:
    without = choose(web, "3.12").artifacts[0]
    web.answer(without)
    assert choose(web, "3.12").notes == ()
    build = choose_python(asked("3.13"), UBUNTU, Pages(), MIRRORS).artifacts[0]
    web.answer(build)
    chosen = choose(web, "3.13")
    assert (chosen.runtime.source, chosen.builds, chosen.wants) == ("python-build-standalone", (), ())


@pytest.mark.parametrize("error", [NotCached(["SHA256SUMS"]), NotFound("SHA256SUMS")])
def test_an_archive_that_may_answer_is_taken(web: Network, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline nobody knows; and a mirror need not have the list, it only has to answer."""
    get = web.get

    def answer(url: str, *, accept: str = "") -> bytes:
        if url.endswith("/SHA256SUMS"):
            raise error
        return get(url, accept=accept)

    monkeypatch.setattr(web, "get", answer)
    assert choose(web, "3.13").runtime.source == "python-build-standalone"


def test_the_stacks_own_python_asks_nobody_for_sources(web: Network) -> None:
    assert choose(web, ">=3.11").runtime.source == "debian"
    assert not [url for url, _ in web.asked if "SHA256SUMS" in url or "source" in url]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (">=3.12", "3.13.15"),  # the default line, and the newest that the mirror has
        ("<3.13.15,>=3.13", "3.13.9"),
        ("3.14", "3.14.8"),  # sid's is listed alone
        (">=3.14", "3.14.8"),
    ],
)
def test_the_newest_that_fits_and_is_there_is_taken(web: Network, text: str, version: str) -> None:
    assert choose(web, text).runtime.version == version


def test_without_sources_the_build_stays_the_choice_and_a_note_says_what_there_is(web: Network) -> None:
    chosen = choose(web, "3.12")
    assert (chosen.runtime.source, chosen.builds) == ("python-build-standalone", ())
    (note,) = chosen.notes
    assert note.startswith(f"Python {chosen.runtime.version} cannot be fetched here: ")
    assert note.endswith("; sources to build one from are to be had of: 3.14, 3.13")


def test_a_version_that_nobody_has_is_refused_with_what_can_be_built(web: Network) -> None:
    with pytest.raises(NoRuntime) as caught:
        choose(web, "3.13.99")
    assert caught.value.message == "no python 3.13.99 for stack debian-12"
    assert caught.value.hint.endswith(" Sources to build one from are to be had of: 3.14, 3.13.")
    web.answer(choose_python(asked("3.13"), UBUNTU, Pages(), MIRRORS).artifacts[0])
    assert choose(web, "3.13.15").builds, "nobody has a build of it, so it is built though that archive answers"


def test_sources_of_another_signer_are_refused(web: Network) -> None:
    publish(web, MIRRORS.archive, "sid", [source("python3.13", "3.13.15-1")], architecture="source", by="somebody")
    with pytest.raises(BadSignature):
        choose(web, "3.13")


def test_other_stacks_have_no_python_built(web: Network) -> None:
    assert choose(web, "3.13", stack=UBUNTU).runtime.source == "python-build-standalone"
    assert web.asked == []


# --- what is kept, and what a lock says ------------------------------------------------------------------------


def test_the_lock_keeps_it_without_asking_anybody(web: Network) -> None:
    first = choose(web, "3.13")
    again = choose(Pages(), "3.13", previous=plan(first))
    assert again == replace(first, notes=())
    assert choose(web, "3.14", previous=plan(first)).runtime.version == "3.14.8"


def test_a_lock_with_it_is_read_as_it_is_written(web: Network) -> None:
    first = plan(choose(web, "3.13"))
    (pin,) = [one for one in first.artifacts if one.layout == "cpython-source/1"]
    from stager.model import DebPin

    deb = DebPin("gcc", "4:12.2.0-3", "amd64", 7, pin.digest, "pool/main/g/gcc/gcc_12.2.0-3_amd64.deb")
    whole = replace(
        first,
        codec="deflate-0.9.0-level-6/1",
        artifacts=tuple(sorted(first.artifacts, key=lambda one: one.purl)),
        roots=(replace(first.roots[0], packages=(deb,)),),
        files=tuple(first.files),
    )
    text = lockfile.dumps(whole)
    assert lockfile.loads(text.encode()).plan == whole
    assert 'command = "stager:cpython/1"' in text


def test_its_build_is_the_same_for_every_app(web: Network) -> None:
    first = plan(choose(web, "3.13"))
    other = replace(first, processes=(), facts=(("a", "b"),), files=(*first.files, ("x", "y")))
    again = plan(choose(web, ">=3.13"))
    texts = {surroundings.text(one, one.builds[0]) for one in (first, other, again)}
    assert len(texts) == 1


def test_what_runs_on_it_has_its_build_around(web: Network) -> None:
    whole = plan(choose(web, "3.13"))
    sdist = Build("x", "artifact", "cpython", "stager:pep517/1", Reason(""), of="pkg:pypi/x@1", on="runtimes")
    bytecode = replace(sdist, on="nothing", artifacts=whole.artifacts)
    for one in (sdist, bytecode):
        assert [each.name for each in surroundings.plan_of(whole, one).builds] == ["cpython"]
    assert surroundings.plan_of(whole, whole.builds[0]).builds == ()
    assert surroundings.plan_of(whole, replace(sdist, on="nothing")).builds == ()


# --- where the sources are -------------------------------------------------------------------------------------


def test_sources_come_from_the_mirror_and_a_lost_pin_can_be_mended(web: Network) -> None:
    one = choose(web, "3.13").artifacts[0]
    indexes = Indexes(debian_mirror="https://deb.example/debian/")
    (url,) = locate(one, indexes, lambda: web, {})  # type: ignore[arg-type, return-value]
    assert url == f"https://deb.example/debian/{one.filename}"
    assert "'stager lock --upgrade'" in gone(one)
    assert "a bundle has it" in gone(one)


def test_sources_come_from_where_they_were_found_though_another_mirror_is_named_first(web: Network) -> None:
    """And from the default archive at last, as packages do."""
    first, other = "https://first.example/debian", "https://deb.example/debian"
    indexes = Indexes(apt=(AptSource(first, "bookworm", ("main",)), AptSource(other, "sid", ("main",))))
    publish(web, first, "forky", [], architecture="source")
    request = RuntimeRequest((), DEBIAN, web, indexes)
    (_, one), *_ = python_sources.found(request, stacks.read("debian-12"), ["3.13"])
    urls = list(locate(one, indexes, lambda: web, {}))  # type: ignore[arg-type, return-value]
    assert urls == [f"{base}/{one.filename}" for base in (first, other, default_debian())]


def test_sources_alone_cannot_be_laid(web: Network) -> None:
    one = choose(web, "3.13").artifacts[0]
    with pytest.raises(NeedsBuild, match="no build of the lock turns into an interpreter"):
        recipe(one.layout)("nowhere", one, ".stager/python")


def test_the_recipe_is_known_and_turns_sources_into_what_is_laid() -> None:
    known = recipes.artifact("stager:cpython/1")
    assert known is not None
    kind = runtimes.of_layout(known.gives)
    assert kind is not None
    assert kind is runtimes.of_layout(known.takes)
    assert recipes.of_runtime(Build("x", "artifact", "x", "stager:cpython/1", Reason("")))
    assert not recipes.of_runtime(Build("x", "artifact", "x", "stager:pep517/1", Reason("")))


@pytest.mark.parametrize("name", ["debian-12", "debian-13"])
def test_a_box_that_has_one_built_brings_what_it_loads(name: str) -> None:
    own = stacks.read(name)
    assert own.sources
    assert {*own.sets["python"].data} <= {*own.sets["python"].built}
    assert not [one for one in own.sets["python"].built if "python" in one]


def test_a_suite_that_cannot_be_read_is_passed_over(web: Network) -> None:
    del web.pages["https://deb.example/debian/dists/sid/InRelease"]
    assert choose(web, ">=3.13").runtime.version == "3.14.8"
    lines = [line for line, _ in _found(web)]
    assert lines == ["3.14.8"]


def _found(web: Network) -> list[tuple[str, Artifact]]:
    mirrors = DebianMirrors(MIRRORS.archive, MIRRORS.security)
    indexes = Indexes(debian_mirror=mirrors.archive, debian_security_mirror=mirrors.security)
    request = RuntimeRequest((), DEBIAN, web, indexes)
    return list(python_sources.found(request, stacks.read("debian-12"), ["3.13", "3.14"]))


def test_an_archive_that_fails_tells_why(web: Network) -> None:
    with pytest.raises(Unreachable):
        web.get("https://elsewhere.example/SHA256SUMS")
    assert "404 Not Found" in choose(web, "3.13").notes[0]


def test_what_could_have_been_chosen_says_that_builds_could_not_be_fetched(web: Network) -> None:
    found = list(runtimes.kind("python").candidates(choose(web, "3.13").runtime, DEBIAN))
    assert [one.text for one in found if one.chosen] == ["3.13.15, built from its sources"]
    builds = [one.text for one in found if not one.chosen][1:]
    assert builds
    assert all(text.endswith(", by python-build-standalone, which could not be fetched") for text in builds)
