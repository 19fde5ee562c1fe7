"""Whose a file is: every command gives one answer, and it is what assembly decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from apps_fixture import materialise
from command import in_process
from evidence_apps import SITE, SITUATIONS, Package, Situation, npm, stage, wheel
from test_apps import EXPECTED, HAPPY, WITHOUT_RUNTIME

from stager import export
from stager.droplet import base
from stager.droplet.inspecting import inspect
from stager.droplet.ownership import NOBODY, Owners
from stager.droplet.reader import open_droplet
from stager.evidence import diff
from stager.evidence.diff import Contents, compare
from stager.evidence.diff.meeting import meet
from stager.evidence.report.model import values
from stager.evidence.sbom import inventory, owners
from stager.evidence.verify.where import Where
from stager.store import Store
from stager.store.stored import resolve
from stager.tree import SourceTree

Answers = dict[str, str]
"""Path in the app folder of a file or link → its owner."""
RUNTIMES = ("python", "node", "bun", "nginx")
OWN = ("a generated file", "a link of the plan", "the command of a package")


# --- what assembly decided -------------------------------------------------------------------------------------


def decided(app: Path, droplet: Path, store: Store) -> Answers:
    """Who has which path, as assembly says it, in the words that people read."""
    with open_droplet(str(droplet)) as opened:
        locked = opened.locked
    plan = locked.plan
    blobs = resolve(store, plan.artifacts)
    pairs = [(one, path) for one in plan.artifacts for path in one.paths]
    placed = [base.place(one, path, blobs[one.digest], store) for one, path in pairs]
    made = base.decide(locked, placed, store, str(app)).owners
    tree = SourceTree.read(str(app))
    return {path: in_words(path, owner) for path, owner in made.items()} | dict.fromkeys(
        [*tree.files, *tree.links], "the app"
    )


def in_words(path: str, owner: str) -> str:
    if owner in OWN:
        return "stager"
    runtime = path.split("/")[1] if path.startswith(".stager/") else ""
    return f"{runtime} (runtime)" if runtime in RUNTIMES else owner


# --- what the commands say -------------------------------------------------------------------------------------


def check(app: Path, droplet: Path, store: Store, other: Path) -> Answers:
    """Ask every command; `other` is a droplet that shares as good as nothing with this one."""
    truth = decided(app, droplet, store)
    found = diff.read(str(droplet))
    sizes = {item.path: item.size for item in found.items() if item.kind == "file" and not item.outside}
    links = {item.path for item in found.items() if item.kind == "link"}
    assert sizes.keys() | links == truth.keys()
    assert by_diff(found, diff.read(str(other))) == truth
    assert by_verify(droplet, truth) == truth
    assert by_sbom(droplet, store) == truth
    files = Counter(truth[path] for path in sizes)
    unpacked = Counter[str]()
    for path, size in sizes.items():
        unpacked[truth[path]] += size
    inspected = inspect(str(droplet), store)
    assert {one.name: one.unpacked for one in inspected.packages} == unpacked
    assert inspected.files == len(sizes)
    assert by_explain(app, droplet, store) == {name: (unpacked[name], files[name]) for name in files}
    reported = {row["name"]: row["files"] for row in values(found)["owners"]}
    assert {name: count for name, count in reported.items() if name != "the envelope"} == files
    return truth


def by_diff(found: Contents, other: Contents) -> Answers:
    """By `diff`, and for what is equal in the other droplet as well by what `diff` asks."""
    told = {one.path: one.owner for one in compare(found, other).files if one.before and one.before.kind != "folder"}
    owner, equal = found.owners(), {item.path for item in other.items()}
    same = {item.path: owner(item) for item in found.items() if item.kind != "folder" and item.path not in told}
    assert same.keys() <= equal
    return {path: name for path, name in (told | same).items() if not path.startswith("/")}


def by_verify(droplet: Path, paths: Iterable[str]) -> Answers:
    with open_droplet(str(droplet)) as opened:
        found = diff.read(str(droplet), "as far as possible")
        place = Where(found, meet(found.walk(), ()), opened.plan)
    return {path: place.package(path) for path in paths}


def by_sbom(droplet: Path, store: Store) -> Answers:
    """By the components; a package inside another is its carrier's, and what a runtime is made of is the runtime's."""
    with open_droplet(str(droplet), store) as opened:
        plan, found = opened.plan, inventory.take(opened, store)
    names = {ref: plan.artifacts[index].name for index, ref in owners.refs(plan).items()}
    names |= {
        one.ref: names[dict(one.facts)["bundled-in"]] for one in found.components if "bundled-in" in dict(one.facts)
    }
    names |= {"app": "the app", "generated": "a generated file"}
    inside = [(row.path.removeprefix("app/"), row.owner) for row in found.files if row.path.startswith("app/")]
    return {path: in_words(path, names[ref]) for path, ref in inside}


def by_explain(app: Path, droplet: Path, store: Store) -> dict[str, tuple[int, int]]:
    done = in_process("explain", "size", app, "--droplet", droplet, "--json", store=Path(store.root)).good().document
    rows = next(one["data"]["owners"] for one in done["topics"]["size"] if one["subject"] == "owners")
    return {row["name"]: (row["unpacked"], row["files"]) for row in rows if row["name"] != "the envelope"}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A droplet of another app."""
    return stage(Situation(files={"Procfile": "web: ./serve it\n"}), tmp_path_factory.mktemp("other")).path


# --- apps by hand ----------------------------------------------------------------------------------------------


def _vendored() -> Situation:
    """A package that carries another's folders inside, as setuptools does, beside that package itself."""
    inside = {
        "kit/__init__.py": b"",
        "kit/_vendor/cart/__init__.py": b"old\n",
        "kit/_vendor/cart-9.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: cart\nVersion: 9.0\n",
        "kit/_vendor/cart-9.0.dist-info/RECORD": b"cart/__init__.py,,\n../kit/__init__.py,,\n../../cart/__init__.py,,\n",
    }
    return Situation([wheel("kit", files=inside), wheel("cart"), wheel("zebra")])


def _shared() -> Situation:
    """Files that several wheels bring: equal ones, other ones, one command of two packages, in both orders of layers."""
    rows = []
    for name in ("aa", "bb", "cc", "dd"):
        files = {
            f"{name}/__init__.py": b"",
            "space/__init__.py": b"",
            f"space/{name}.py": b"1\n",
            "tests/__init__.py": name.encode(),
            f"{name}-1.0.data/scripts/both": f"#!/bin/sh\necho {name}\n".encode(),
            f"{name}-1.0.data/data/share/man/x.1": b"page\n",
        }
        rows.append(wheel(name, files=files))
    return Situation(rows)


def _named() -> Situation:
    """Projects whose folders, package URLs and locks spell them differently; versions as locks may write them."""
    rows = []
    for name, purl in (("Zope.Interface", "zope-interface@1.0"), ("Snake_Case", "snake-case@1.0.0")):
        made = wheel(name)
        rows.append(replace(made, artifact=replace(made.artifact, purl=f"pkg:pypi/{purl}")))
    local = wheel("torchy", "2.1+cpu", files={"torchy/__init__.py": b"", "torchy/__pycache__.txt": b""})
    return Situation([*rows, replace(local, artifact=replace(local.artifact, purl="pkg:pypi/torchy@2.1%2Bcpu"))])


def _odd_names() -> Situation:
    """Names that a RECORD must quote, and names beyond ASCII."""
    files = {f"odd/{name}.txt": b"1" for name in ("a,b", 'quo"te', "spa ce", "ünï", "semi;colon", "'")}
    return Situation([wheel("odd", files={"odd/__init__.py": b"", **files})])


def _apps_own() -> Situation:
    """An app whose own files look like a package's or like stager's."""
    files = {
        "vendor/cart-1.0.dist-info/RECORD": "cart/__init__.py,,\n../Procfile,,\n../serve,,\n",
        "vendor/cart/__init__.py": "mine\n",
        "cart/__init__.py": "mine\n",
        "site-packages/cart-1.0.dist-info/RECORD": "../Procfile,,\n",
        ".profile.d/000-mine.sh": "# mine\n",
        ".profile.d/zz.sh": "# mine\n",
        "pypi/bin/run-cart": "#!/bin/sh\n",
        "stager/python/x": "1",
    }
    return Situation([wheel("cart"), npm("front")], files=files, own_links={"lib/cart": "../cart", "up": "vendor"})


def _commands() -> Situation:
    """Commands of npm packages at the top, in a package, and of a package with a scope."""
    command = {"tool": "index.js"}
    return Situation(
        [
            npm("host", dependencies={"tool": "2"}),
            npm("tool", version="1.0.0", bin=command),
            npm("tool", "node_modules/host/node_modules/tool", version="2.0.0", bin=command),
            npm("@s/cli", bin="index.js"),
        ],
        facts=(("nodejs.direct", "host tool @s/cli"),),
    )


def _giving_way() -> Situation:
    """A package that carries another where the lock places that one: what it carries is left out."""
    carried = {
        "node_modules/low/package.json": b'{"name": "low", "version": "1.0.0"}',
        "node_modules/low/only-here.js": b"1\n",
        "node_modules/kept/package.json": b'{"name": "kept", "version": "1.0.0"}',
        "node_modules/kept/node_modules/low/package.json": b'{"name": "low", "version": "0.1.0"}',
    }
    return Situation(
        [
            npm("top", files=carried, bundleDependencies=["low", "kept"]),
            npm("low", "node_modules/top/node_modules/low", version="2.0.0"),
        ]
    )


OTHERS: dict[str, Callable[[], Situation]] = {
    "a package inside a wheel": _vendored,
    "files of several wheels": _shared,
    "names spelled differently": _named,
    "names that are quoted": _odd_names,
    "an app like a package": _apps_own,
    "commands of npm packages": _commands,
    "what is carried gives way": _giving_way,
}
ALL = {**SITUATIONS, **OTHERS}


@pytest.mark.parametrize("name", ALL)
def test_every_command_says_what_assembly_decided(name: str, tmp_path: Path, other: Path) -> None:
    made = stage(ALL[name](), tmp_path)
    truth = check(made.app, made.path, made.store, other)
    expected = {one.artifact.name for one in made.situation.packages if one.artifact.layout != "deb-python/1"}
    assert expected <= set(truth.values())
    export(str(made.path), "heroku", str(tmp_path / "slug.tgz"), store=made.store)
    export(str(made.path), "oci", str(tmp_path / "image.tar"), store=made.store, base="scratch")
    for out in ("slug.tgz", "image.tar"):
        exported = diff.read(str(tmp_path / out))
        items = [item for item in exported.items() if item.kind != "folder" and not item.outside]
        owner = exported.owners()
        assert {item.path: owner(item) for item in items} == truth, out


def test_the_first_in_the_plans_order_has_what_several_bring(tmp_path: Path, other: Path) -> None:
    made = stage(_shared(), tmp_path)
    truth = check(made.app, made.path, made.store, other)
    shared = (f"{SITE}/tests/__init__.py", f"{SITE}/space/__init__.py", ".stager/pypi/bin/both")
    assert {truth[path] for path in (*shared, ".stager/pypi/share/man/x.1")} == {"aa@1.0"}
    assert truth[f"{SITE}/space/cc.py"] == "cc@1.0"


# --- sample apps -----------------------------------------------------------------------------------------------


def one_of_each_kind() -> list[str]:
    """An app for each set of runtimes and locks: every command runs over each droplet, which takes half a minute.

    What is built is in no folder, which tells here whose a file is: `test_evidence_of_builds` has such.
    """
    kinds = dict[tuple[str, ...], str]()
    for name in [name for name in HAPPY if not EXPECTED[name].get("builds")]:
        kinds.setdefault((*sorted(EXPECTED[name]["runtimes"]), *sorted(EXPECTED[name]["locks"].values())), name)
    return sorted({*kinds.values(), *WITHOUT_RUNTIME})


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in WITHOUT_RUNTIME else [pytest.mark.network]) for name in one_of_each_kind()],
)
def test_of_sample_apps(name: str, tmp_path: Path, shared_store: Path, other: Path) -> None:
    offline = name in WITHOUT_RUNTIME
    store = tmp_path / "store" if offline else shared_store
    app, droplet = materialise(name, tmp_path), tmp_path / "droplet.tgz"
    in_process("stage", app, "-o", droplet, *(["--offline"] if offline else []), store=store).good()
    (app / "droplet.tgz").unlink(missing_ok=True)
    truth = check(app, droplet, Store(str(store)), other)
    assert "the app" in truth.values()


# --- what is in no droplet of stager's -------------------------------------------------------------------------


def plan_of(packages: Iterable[Package], tmp_path: Path) -> tuple[Owners, Mapping[str, bytes]]:
    made = stage(Situation([*packages]), tmp_path)
    with open_droplet(str(made.path)) as opened:
        plan = opened.plan
    records = {path: data for part in diff.read(str(made.path)).parts() for path, data in _records(part).items()}
    return Owners(plan, records), records


def _records(part: diff.LayerPart) -> Mapping[str, bytes]:
    return part.records if part.items else {}


def test_a_file_that_no_package_brings_is_nobodys(tmp_path: Path) -> None:
    found, _ = plan_of([wheel("cart"), npm("front")], tmp_path)
    for path in (f"{SITE}/stray.py", f"{SITE}/cart/stray.py", ".stager/pypi/bin/cart", "node_modules/else/x.js"):
        assert (path, found.of(path)) == (path, NOBODY)
    assert found.of("node_modules/front/stray.js") == "front@1.0.0"  # all below a package's place is its own
    assert found.of(".stager/anything") == "stager"
    assert found.of("node_modules/front/stray.js", layer="app") == "the app"


def test_a_record_cannot_claim_what_lies_outside_its_place() -> None:
    record = b"../../../app.py,,\n../../x,,\n../bin/x,,\ny.py,,\n../../../../../etc/passwd,,\n,,\n/z,,\n"
    found = Owners(None, {f"{SITE}/evil-1.0.dist-info/RECORD": record})
    asked = ("app.py", ".stager/x", ".stager/pypi/bin/x", f"{SITE}/y.py", "/etc/passwd")
    assert [found.of(path) for path in asked] == ["the app", "stager", "evil@1.0", "evil@1.0", "the base image"]


def test_a_record_that_breaks_off_says_what_it_says_before() -> None:
    record = b'a.py,,\n"' + b"x" * 200_000 + b'",,\nb.py,,\n'
    found = Owners(None, {f"{SITE}/long-1.0.dist-info/RECORD": record})
    assert [found.of(f"{SITE}/{name}.py") for name in "ab"] == ["long@1.0", NOBODY]


def test_without_a_plan_folders_tell_what_they_can() -> None:
    found = Owners(None, {})
    told = {path: found.of(path) for path in (".stager/python/bin/python3", ".stager/launch.json", "main.py", "/tmp/x")}
    assert told == {
        ".stager/python/bin/python3": "python (runtime)",
        ".stager/launch.json": "stager",
        "main.py": "the app",
        "/tmp/x": "the envelope",
    }


def test_folders_go_with_what_is_first_in_them(tmp_path: Path) -> None:
    found, _ = plan_of([wheel("cart"), npm("front")], tmp_path)
    told = {
        path: found.of(path, "folder", "skeleton") for path in (f"{SITE}/cart/data", "node_modules/front", SITE, "")
    }
    assert told == {f"{SITE}/cart/data": "cart@1.0", "node_modules/front": "front@1.0.0", SITE: "stager", "": "stager"}
