"""What `stager diff` finds between droplets, slugs, images, boxes, plans and folders, and that it names every path."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import TarEntry, make_tar
from command import in_process
from made_droplets import stage

from stager.digest import Digest
from stager.droplet.reader import open_droplet
from stager.errors import BadLock, Unreadable, UsageError
from stager.evidence import diff
from stager.evidence.diff import compare, read, rendering
from stager.evidence.diff.versions import direction
from stager.formats import tar_reader
from stager.formats.errors import BadArchive
from stager.formats.tar_reader import read_entries
from stager.model import Reason
from stager.planning import lockfile
from stager.targets.oci.registry.descriptors import INDEX

ONE = {"alpha": ("1.9.0", {"alpha/__init__.py": b"A = 1\n"}), "beta": ("2.0", {"beta/__init__.py": b"B = 1\n"})}
TWO = {
    "alpha": ("1.10.0", {"alpha/__init__.py": b"A = 2\n", "alpha/new.py": b""}),
    "gamma": ("1.0rc1", {"gamma.py": b"G = 1\n"}),
}


@pytest.fixture(scope="module")
def droplets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two droplets of one app, before and after a change of nearly everything."""
    place = tmp_path_factory.mktemp("droplets")
    first = stage(place / "a", {"main.py": "1\n", "old.txt": "x"}, ONE, env={"MODE": "slow", "GONE": "1"})
    second = stage(
        place / "b", {"main.py": "22\n", "new/deep.txt": "yy"}, TWO, web="./serve --fast", env={"MODE": "fast"}
    )
    return first, second


def differ(a: Path, b: Path, **options: bool) -> diff.Difference:
    return compare(read(str(a)), read(str(b)), **options)


def lines(found: diff.Difference) -> list[tuple[str, str, str, str, str]]:
    return [(c.what, c.name, c.how, c.before, c.after) for c in found.changes if c.what not in ("input", "order")]


def paths(found: diff.Difference) -> dict[str, str]:
    return {one.path: one.how for one in found.files}


# --- two droplets ----------------------------------------------------------------------------------------------


def test_a_droplet_is_equal_to_itself(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    copy = tmp_path / "other-name.tgz"
    shutil.copy(droplets[0], copy)
    found = differ(droplets[0], copy)
    assert (found.verdict, found.different, found.changes, found.files) == ("equal", False, (), ())
    assert {row.side for row in found.layers} == {"shared"}


def test_packages_processes_environment_and_files(droplets: tuple[Path, Path]) -> None:
    found = differ(*droplets)
    assert found.different
    assert lines(found) == [
        ("package", "pypi:alpha", "up", "1.9.0", "1.10.0"),
        ("package", "pypi:beta", "removed", "2.0", ""),
        ("package", "pypi:gamma", "added", "", "1.0rc1"),
        ("process", "web", "changed", "./serve", "./serve --fast"),
        ("env", "GONE", "removed", "1", ""),
        ("env", "MODE", "changed", "slow", "fast"),
    ]
    own = {one.path: (one.how, one.growth) for one in found.files if one.owner == "the app"}
    assert own == {
        "Procfile": ("changed", 7),
        "main.py": ("changed", 1),
        "old.txt": ("removed", -1),
        "new": ("added", 0),
        "new/deep.txt": ("added", 2),
    }
    owners = {one.path: one.owner for one in found.files}
    assert owners[".stager/pypi/site-packages/alpha/new.py"] == "alpha@1.10.0"
    assert owners[".stager/pypi/site-packages/beta/__init__.py"] == "beta@2.0"
    assert owners[".stager/stager.lock"] == "stager"
    envelope = {one.path for one in found.files if one.envelope}
    assert envelope == {"/staging_info.yml"}


def test_the_other_way_round_is_the_mirror_image(droplets: tuple[Path, Path]) -> None:
    there, back = differ(*droplets), differ(*reversed(droplets))
    mirrored = {"added": "removed", "removed": "added", "up": "down", "down": "up", "changed": "changed"}
    assert {(w, n, mirrored[h], a, b) for w, n, h, b, a in lines(there)} == set(lines(back))
    assert {path: mirrored[how] for path, how in paths(there).items()} == paths(back)


def test_layers_that_are_shared_are_not_read(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    second = stage(tmp_path, {"main.py": "changed\n", "old.txt": "x"}, ONE, env={"MODE": "slow", "GONE": "1"})
    a, b = read(str(droplets[0])), read(str(second))
    found = compare(a, b)
    assert paths(found) == {"main.py": "changed"}
    assert found.files[0].fields[0][0] == "content"
    shared = {row.name for row in found.layers if row.side == "shared"}
    assert shared == {part.name for part in a.layers or ()} - {"app"}
    assert {part.name for part in (*a.parts(), *b.parts()) if part.looked_into} == {"skeleton", "app", "envelope"}
    assert all(row.digest.startswith("sha256:") for row in found.layers)


def test_an_equal_digest_is_that_of_the_oci_blob(droplets: tuple[Path, Path]) -> None:
    with open_droplet(str(droplets[0])) as droplet:
        expected = [(layer.name, str(layer.digest), str(layer.diff_id), layer.size) for layer in droplet.layers]
    found = read(str(droplets[0])).layers
    assert found is not None
    assert [(part.name, part.digest, part.diff_id, part.size) for part in found] == expected


# --- other kinds -----------------------------------------------------------------------------------------------


def inner(droplet: Path) -> bytes:
    return gzip.decompress(droplet.read_bytes())


def slug(droplet: Path, place: Path) -> Path:
    """The droplet without its envelope, recompressed by another program: what a Heroku slug is."""
    entries = [(e.name, e.offset) for e in comparing_entries(inner(droplet))]
    end = next(offset for name, offset in entries if not name.startswith("./app/"))
    path = place / "slug.tgz"
    path.write_bytes(gzip.compress(inner(droplet)[:end] + bytes(1024), 1, mtime=7))
    return path


def comparing_entries(data: bytes) -> list[tar_reader.TarEntry]:
    return list(read_entries([data]))


def layout(droplet: Path, place: Path, *, tar: bool = False, docker: bool = False) -> Path:
    """The droplet's layers as an OCI image: a layout folder, its tar, or what `docker save` writes."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes, kind: str) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{name}"] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{name}", "size": len(data)}

    with open_droplet(str(droplet)) as opened:
        tars = [b"".join(opened.tar(layer)) for layer in opened.layers]
        packed = [b"".join(opened.blob(layer)) for layer in opened.layers]
        ids = [str(layer.diff_id) for layer in opened.layers]
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["HOME=/app"], "Cmd": ["web"]}}
    config_blob = put(json.dumps({**config, "rootfs": {"type": "layers", "diff_ids": ids}}).encode(), "config.v1+json")
    files: dict[str, bytes]
    if docker:
        names = [f"{number}/layer.tar" for number in range(len(tars))]
        files = {
            **dict(zip(names, tars, strict=True)),
            "config.json": blobs[f"blobs/{config_blob['digest'].replace(':', '/')}"],
        }
        files["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": [], "Layers": names}]).encode()
    else:
        manifest = {
            "schemaVersion": 2,
            "config": config_blob,
            "layers": [put(data, "layer.v1.tar+gzip") for data in packed],
        }
        index = {"schemaVersion": 2, "manifests": [put(json.dumps(manifest).encode(), "manifest.v1+json")]}
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode(), **blobs}
    if tar or docker:
        path = place / "image.tar"
        path.write_bytes(make_tar(TarEntry(name, data) for name, data in files.items()))
        return path
    folder = place / "image"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def box(place: Path, provider: str, disk: bytes, *, packed: bool = True) -> Path:
    data = make_tar(
        [
            TarEntry("./metadata.json", json.dumps({"provider": provider, "virtual_size": 4}).encode()),
            TarEntry("./Vagrantfile", b"# box\n"),
            TarEntry("./box.img", disk),
        ]
    )
    path = place / f"{provider}.box"
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    return path


def every_kind(droplet: Path, place: Path) -> dict[str, Path]:
    place.mkdir(exist_ok=True)
    return {
        "droplet": droplet,
        "slug": slug(droplet, place),
        "image": layout(droplet, place),
        "plan": droplet.parent / "app" / "stager.lock",
        "folder": droplet.parent / "app",
        "box": box(place, "libvirt", b"disk"),
    }


KINDS = ("droplet", "slug", "image", "plan", "folder", "box")


@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_any_two_kinds_can_be_compared(one: str, other: str, droplets: tuple[Path, Path], tmp_path: Path) -> None:
    """Of one app they are equal in what both hold; of two they are not, unless one is a box, which shares nothing."""
    same, new = every_kind(droplets[0], tmp_path), every_kind(droplets[1], tmp_path / "second")
    found = differ(same[one], same[other])
    assert (found.a.kind, found.b.kind) == (one, other)
    if "box" in (one, other) and one != other:
        assert found.not_compared
        return
    assert not found.different, (found.changes, found.files)
    if one != "box":
        assert differ(same[one], new[other]).verdict == "content"


@pytest.mark.parametrize("form", [{}, {"tar": True}, {"docker": True}], ids=["folder", "tar", "docker"])
def test_images_share_the_droplets_layers(form: dict[str, bool], droplets: tuple[Path, Path], tmp_path: Path) -> None:
    image = layout(droplets[0], tmp_path, **form)
    found = differ(droplets[0], image)
    assert {row.side for row in found.layers} == {"shared"}
    assert (found.verdict, found.different) == ("envelope", False)
    assert {one.path for one in found.files} == {"/deps", "/logs", "/profile.d", "/staging_info.yml", "/tmp"}
    changed = differ(droplets[1], image)
    assert paths(changed)["main.py"] == "changed"


def test_a_slug_shares_the_droplets_layers(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    found = differ(droplets[0], slug(droplets[0], tmp_path))
    assert {row.side for row in found.layers} == {"shared"}
    assert found.verdict == "envelope"
    assert not found.different


def test_boxes(tmp_path: Path) -> None:
    first, second = box(tmp_path, "libvirt", b"one"), box(tmp_path, "virtualbox", b"two", packed=False)
    found = differ(first, second)
    assert ("detail", "provider", "changed", "libvirt", "virtualbox") in lines(found)
    assert paths(found) == {"/box.img": "changed", "/metadata.json": "changed"}
    assert found.different


def test_plans(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    lock = droplets[0].parent / "app" / "stager.lock"
    plan = lockfile.loads(lock.read_bytes()).plan

    def other(**changes: Any) -> Path:
        path = tmp_path / "other.lock"
        path.write_text(lockfile.dumps(replace(plan, **changes)), "utf-8")
        return path

    swapped = replace(plan.artifacts[0], digest=Digest("sha256:" + "0" * 64))
    cases: list[tuple[dict[str, Any], tuple[str, str, str]]] = [
        ({"stack": "ubuntu-24"}, ("stack", "stack", "changed")),
        ({"codec": "other/1"}, ("codec", "codec", "changed")),
        ({"artifacts": (swapped, *plan.artifacts[1:])}, ("package", "pypi:alpha", "changed")),
        ({"links": (("a", "b"),)}, ("link", "a", "added")),
        ({"files": (("f", "text"),)}, ("file", "f", "added")),
        ({"facts": (("k", "v"),)}, ("fact", "k", "added")),
        ({"inputs": ()}, ("input", "Procfile", "removed")),
        ({"buildpacks": ()}, ("buildpack", "procfile", "removed")),
        ({"processes": (replace(plan.processes[0], reason=Reason("another")),)}, ("plan", "reasons", "changed")),
    ]
    for changes, expected in cases:
        found = differ(lock, other(**changes))
        assert [(c.what, c.name, c.how) for c in found.changes] == [expected]
        assert found.different
    moved = replace(plan.artifacts[0], paths=("elsewhere",))
    assert "at elsewhere" in differ(lock, other(artifacts=(moved, *plan.artifacts[1:]))).changes[0].after


@pytest.mark.parametrize(
    ("ecosystem", "low", "high"),
    [
        ("pypi", "1.9", "1.10"),
        ("pypi", "1.0rc1", "1.0"),
        ("pypi", "2.0", "1!1.0"),
        ("npm", "1.0.0-rc.2", "1.0.0-rc.10"),
        ("npm", "9.0.0", "10.0.0"),
        ("deb", "1.0~rc1-1", "1.0-1"),
        ("deb", "1:0.9", "1:1.0+b1"),
        ("nginx", "1.9.2", "1.22.1"),
    ],
)
def test_versions_are_ordered_by_their_ecosystem(ecosystem: str, low: str, high: str) -> None:
    assert (direction(ecosystem, low, high), direction(ecosystem, high, low)) == ("up", "down")
    assert direction("pypi", "not a version", "1.0") == "changed"


# --- what it prints --------------------------------------------------------------------------------------------


def test_the_command(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    same = in_process("diff", droplets[0], droplets[0], store=store)
    assert (same.code, same.out.splitlines()[-1]) == (0, "Equal, byte for byte.")
    other = in_process("diff", *droplets, store=store)
    assert other.code == 1
    for line in (
        "  ↑ pypi:alpha 1.9.0 → 1.10.0",
        "  - pypi:beta 2.0",
        "  + pypi:gamma 1.0rc1",
        "  ~ MODE slow → fast",
    ):
        assert line in other.out.splitlines()
    assert other.out.splitlines()[-1] == "Different in content."
    document = in_process("diff", *droplets, "--json", store=store)
    assert (document.code, document.document["verdict"]) == (1, "content")
    assert {row["path"] for row in document.document["files"]} >= {"main.py", "new/deep.txt", "old.txt"}
    assert in_process("diff", *droplets, store=store).out == other.out
    assert not store.exists()


def test_errors(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello\n")
    cases = {
        text: UsageError,
        tmp_path / "missing": Unreadable,
        tmp_path / "empty.tgz": BadArchive,
    }
    (tmp_path / "empty.tgz").write_bytes(b"\x1f\x8b")
    for path, kind in cases.items():
        with pytest.raises(kind):
            read(str(path))
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(droplets[0].read_bytes()[:-20])
    with pytest.raises(BadArchive):
        differ(cut, droplets[0])
    lock = tmp_path / "stager.lock"
    lock.write_text("version = 9\n")
    with pytest.raises(BadLock):
        read(str(lock))
    other = tmp_path / "other.tar"
    other.write_bytes(make_tar([TarEntry("file", b"x")]))
    with pytest.raises(UsageError, match="nothing that stager knows"):
        read(str(other))
    done = in_process("diff", text, droplets[0], "--json", store=tmp_path / "store")
    assert (done.code, done.document["error"]["code"]) == (2, "UsageError")


def test_damaged_images_are_refused(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    image = layout(droplets[0], tmp_path)
    for blob in sorted((image / "blobs" / "sha256").iterdir()):
        good = blob.read_bytes()
        blob.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(BadArchive):
            list(read(str(image)).items())
        blob.write_bytes(good)
        found = list(read(str(image)).items())
        assert found


def test_an_index_that_names_itself_ends(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    data = b'{"schemaVersion":2,"manifests":[]}'
    name = hashlib.sha256(data).hexdigest()
    (folder / "blobs" / "sha256" / name).write_bytes(data)
    row = {"mediaType": INDEX, "digest": f"sha256:{name}", "size": len(data)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [row]}))
    with pytest.raises(BadArchive, match="holds 0 images"):
        read(str(folder))


HOSTILE = [
    "<script>alert(1)</script>.py",
    "a|b`c``d.md",
    "\u202egnp.exe",
    "\u05e2\u05d1\u05e8\u05d9\u05ea.txt",
    "x" * 200,
    "tab\there",
]


def test_hostile_names_are_harmless(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    found = differ(droplets[0], hostile_slug(tmp_path))
    text, document = rendering.as_text(found, everything=True), json.dumps(rendering.as_json(found))
    markdown = rendering.as_markdown(found, everything=True)
    for shown in (text, markdown):
        assert "\u202e" not in shown
        assert "\\u202egnp.exe" in shown
        assert "tab\\there" in shown
        assert "\\xff" in shown
    assert "\\\\u202egnp.exe" in document
    fences = [line for line in markdown.splitlines() if line.startswith("```")]
    assert len(fences) % 2 == 0
    text.encode()
    markdown.encode()


def hostile_slug(place: Path) -> Path:
    names = [*(f"./app/{name}".encode() for name in HOSTILE), b"./app/\xff\xfe"]
    data = make_tar(TarEntry(name[:100] if len(name) > 100 else name, b"x") for name in names)
    path = place / "hostile.tgz"
    path.write_bytes(gzip.compress(data, mtime=0))
    return path


def test_markdown(droplets: tuple[Path, Path]) -> None:
    text = rendering.as_markdown(differ(*droplets))
    assert text.splitlines()[0] == "### droplet droplet.tgz → droplet droplet.tgz"
    assert "| ↑ | package | `pypi:alpha` | `1.9.0` | `1.10.0` |" in text
    assert text.count("<details>") == text.count("</details>") > 2
    assert rendering.code("a|`b`") == "`` a\\|`b` ``"


@pytest.mark.tools
def test_diffoscope_sees_what_changed_inside(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    assert shutil.which("diffoscope"), "diffoscope is not installed"
    done = in_process("diff", *droplets, "--contents", store=tmp_path / "store")
    assert done.code == 1
    assert "│ -1\n│ +22" in done.out
    document = in_process("diff", droplets[0], droplets[0], "--contents", "--json", store=tmp_path / "store").document
    assert document["contents"] == ""


def test_contents_without_diffoscope(droplets: tuple[Path, Path], tmp_path: Path) -> None:
    done = in_process("diff", *droplets, "--contents", store=tmp_path / "store", PATH=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert "diffoscope is not installed" in done.err
