"""Reading hashed requirements files."""

from __future__ import annotations

import pytest

from stager.digest import sha256
from stager.ecosystems.pypi import IndexFile, Target, declared, find_locks, normalise_index, read_lock
from stager.ecosystems.pypi.lookup import Keep
from stager.errors import BadLock, NeedsBuild, Unpinned
from stager.model import Locked, Stack
from stager.tree import SourceTree

INDEX = "https://index.example/simple"
TARGET = Target(Stack("debian-12", "amd64", (2, 36), "debian"), (3, 11), "3.11.2")
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
LOCK = "requirements.txt"


class Pages:
    """Version 1.0 of every project on every index: a wheel with the digest of all a."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def files(self, name: str, index: str = "", keep: Keep | None = None) -> list[IndexFile]:
        self.asked.append((name, index))
        file = f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        return [IndexFile(file, f"https://files.example/{file}", {"sha256": "a" * 64}, 9)]


def read(text: str, pages: Pages | None = None, files: dict[str, str] | None = None) -> Locked:
    tree = SourceTree.of({LOCK: text, **(files or {})})
    indexes = frozenset({normalise_index(INDEX)})
    return read_lock(tree, LOCK, TARGET, lookup=pages or Pages(), default_indexes=indexes)


def test_continuation_lines_comments_markers_and_extras() -> None:
    text = f"""\ufeff# made by a tool
a==1.0 ; python_version >= '3.8' \\
    --hash={B} \\
    --hash={A}
    # via b
B.x[extra]===1.0 --hash {A}  # a comment
c==1.0; sys_platform == 'win32' --hash={A}
d == 1.0 \\
    # a comment within
    --hash={A}
--no-binary :none:
"""
    assert read(text).names == {"a", "b-x", "d"}


def test_windows_line_ends() -> None:
    assert read(f"a==1.0 \\\r\n    --hash={A}\r\nb==1.0 --hash={A}\r\n").names == {"a", "b"}


def test_includes_and_constraints() -> None:
    found = read(
        f"-r more/web.txt\n--constraint=pins.txt\nb --hash={A}\nc==1.0\n",
        files={
            "more/web.txt": f"-r ../base.txt\na==1.0 --hash={A}\n",
            "base.txt": f"-r requirements.txt\nz==1.0 --hash={A}\n",
            "pins.txt": f"b==1.0\nc==1.0 --hash={A}\nunused==3 --hash={A}\nd==1; sys_platform == 'win32'\n",
        },
    )
    assert found.names == {"a", "b", "c", "z"}


def test_hashes_of_requirement_and_constraint_must_both_hold() -> None:
    assert read(f"-c c.txt\na==1.0 --hash={A} --hash={B}\n", files={"c.txt": f"a==1.0 --hash={A}\n"}).names == {"a"}


def test_the_app_itself_and_folders_of_it() -> None:
    text = f"-e .\n./libs/one[x]\n--editable=libs/two\nfile:libs/three ; python_version > '3'\na==1.0 --hash={A}\n"
    found = read(text, files={f"libs/{name}/{name}.py": "" for name in ("one", "two", "three")})
    assert dict(found.files)[".stager/pypi/site-packages/stager-app.pth"] == (
        "../../..\n../../../libs/one\n../../../libs/three\n../../../libs/two\n"
    )


def test_direct_urls() -> None:
    url = "https://user:pw@files.example/d-2.0-py3-none-any.whl"
    text = f"d @ {url} --hash={A}\n{url.replace('d-2', 'e-2')}#sha256={'a' * 64}\n"
    found = read(text)
    assert [(item.purl, item.url) for item in found.artifacts] == [
        ("pkg:pypi/d@2.0", "https://files.example/d-2.0-py3-none-any.whl"),
        ("pkg:pypi/e@2.0", "https://files.example/e-2.0-py3-none-any.whl"),
    ]
    with pytest.raises(NeedsBuild) as caught:
        read(f"g @ hg+https://hg.example/g@abc\ns @ https://files.example/s-1.0.tar.gz --hash={A}\n")
    assert caught.value.data["needs"] == {"g": "a version control repository"}
    (archive,) = read(f"s @ https://code.example/own/archive/abc.zip --hash={A}\n").artifacts
    assert (archive.purl, archive.filename, archive.layout) == ("pkg:pypi/s", "abc.zip", "sdist/1")
    (built,) = read(f"s @ https://files.example/s-1.0.tar.gz --hash={A}\n").artifacts
    assert (built.layout, built.url) == ("sdist/1", "https://files.example/s-1.0.tar.gz")


def test_commits_of_git_repositories() -> None:
    one, lines = "a" * 40, [
        f"a @ git+https://git.example/own/a@{'a' * 40} ; python_version > '3'",
        f"b @ git+ssh://git@git.example:22/own/b.git@{'a' * 40}#subdirectory=py/b",
        f"git+https://u:secret@git.example/c.git@{'a' * 40}#egg=c[x]",
    ]  # fmt: skip
    found = read("".join(f"{line}\n" for line in [*lines, f"z==1.0 --hash={A}"]), Pages())
    assert [(item.purl, item.url) for item in found.artifacts if item.url.startswith("git+")] == [
        ("pkg:pypi/a", f"git+https://git.example/own/a@{one}"),
        ("pkg:pypi/b", f"git+https://git.example/own/b.git@{one}#subdirectory=py/b"),
        ("pkg:pypi/c", f"git+https://git.example/c.git@{one}"),
    ]
    assert "secret" not in repr(found)
    assert [(build.name, build.folder, build.env) for build in found.builds] == [
        ("a", "", ()),
        ("b", "py/b", ()),
        ("c", "", ()),
    ]
    with pytest.raises(BadLock) as caught:
        read(f"a @ git+https://u:secret@git.example/a@main\nz==1.0 --hash={A}\n", Pages())
    assert caught.value.message == "a comes from 'main' of a git repository, and no whole commit says which state of it"
    assert "'git ls-remote https://git.example/a' prints it" in caught.value.hint


def test_archives_in_the_app() -> None:
    files = {"v/x-1.0-py3-none-any.whl": "x", "v/y-2.0.tar.gz": "y"}
    found = read(f"./v/x-1.0-py3-none-any.whl\ny @ file:v/y-2.0.tar.gz\nz==1.0 --hash={A}\n", Pages(), files=files)
    assert [(item.purl, item.layout, item.url, item.digest) for item in found.artifacts[:2]] == [
        ("pkg:pypi/x@1.0", "wheel/1", "file:v/x-1.0-py3-none-any.whl", sha256(b"x")),
        ("pkg:pypi/y@2.0", "sdist/1", "file:v/y-2.0.tar.gz", sha256(b"y")),
    ]


def test_indexes_named_in_the_file() -> None:
    pages = Pages()
    found = read(f"--index-url https://u:pw@private.example/simple\na==1.0 --hash={A}\n", pages)
    assert pages.asked == [("a", "https://u:pw@private.example/simple")]
    assert [item.url for item in found.artifacts] == ["https://files.example/a-1.0-py3-none-any.whl"]
    assert "pw" not in repr(found)
    usual = Pages()
    assert read(f"-i {INDEX}/\na==1.0 --hash={A}\n", usual).artifacts[0].url == ""
    assert usual.asked == [("a", "")]


def test_an_extra_index_comes_after_the_default_one() -> None:
    pages = Pages()
    found = read(f"--extra-index-url https://extra.example/simple\na==1.0 --hash={A}\n", pages)
    assert pages.asked == [("a", "")]
    assert found.artifacts[0].url == ""


def test_everything_unpinned_is_named_with_its_line() -> None:
    text = f"a==1.0 --hash={A}\nb>=1 --hash={A}\n-r more.txt\nd @ https://files.example/d-1-py3-none-any.whl\n"
    with pytest.raises(Unpinned) as caught:
        read(text, files={"more.txt": "# x\nc==1.0\n"})
    assert caught.value.message == (
        "not pinned by version and digest: b>=1 (requirements.txt:2), c==1.0 (more.txt:2), d (requirements.txt:4)"
    )
    assert caught.value.hint == (
        "Pin these by == and --hash, as the other lines are ('pip hash' prints it of a file), or delete every --hash of "
        "requirements.txt: then 'stager lock' makes pylock.toml of it."
    )
    assert not caught.value.unlocked


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        ("a==1.0 --hash=md5:00\n", "a==1.0 has only a md5 hash, which proves nothing", "requirements.txt:1"),
        ("a==1.0 --hash=sha256:abc\n", "a==1.0 has a malformed hash: 'sha256:abc'", "requirements.txt:1"),
        (f"a==1.0 --hash={A}\na==2.0 --hash={A}\n", "a==1.0 and a==2.0 would both be installed", "requirements.txt:2"),
        ("\n-r gone.txt\n", "includes 'gone.txt', which is not in the app", "requirements.txt:2"),
        ("-r ../../etc/passwd\n", "includes '../../etc/passwd', which is not in the app", "requirements.txt:1"),
        ("-r https://x.example/r\n", "includes 'https://x.example/r', which is not in the app", "requirements.txt:1"),
        ("-e ../other\n", "'../other' is outside the app", "requirements.txt:1"),
        ("./gone\n", "the folder gone is not in the app", "requirements.txt:1"),
        ("./v/x-1.0-py3-none-any.whl\n", "the file v/x-1.0-py3-none-any.whl is not in the app", "requirements.txt:1"),
        (
            "a = 1\n",
            "'a = 1' is not a requirement: Expected semicolon (after name with no version specifier) or end",
            "requirements.txt:1",
        ),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_its_place(text: str, message: str, where: str) -> None:
    with pytest.raises(BadLock) as caught:
        read(text)
    assert (caught.value.message, caught.value.where) == (message, where)


def test_deep_includes_are_refused() -> None:
    files = {f"r{n}.txt": f"-r r{n + 1}.txt\n" for n in range(40)} | {"r40.txt": ""}
    with pytest.raises(BadLock, match="is included through more than 32 files"):
        read("-r r0.txt\n", files=files)


def test_groups_and_extras_do_not_exist() -> None:
    with pytest.raises(BadLock, match="has no group 'dev'"):
        read_lock(SourceTree.of({LOCK: ""}), LOCK, TARGET, groups=["dev"])


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({LOCK: f"a==1 --hash={A}\n"}, [LOCK]),
        ({LOCK: "a==1\n"}, []),
        ({LOCK: "# --hash=sha256:x\na==1\n"}, []),
        ({LOCK: "-r sub/r.txt\n", "sub/r.txt": f"a==1 \\\n --hash={A}\n"}, [LOCK]),
        ({LOCK: f"-r gone.txt\na==1 --hash={A}\n"}, [LOCK]),
        ({"Pipfile.lock": "", "uv.lock": "", "sub/poetry.lock": ""}, ["uv.lock", "Pipfile.lock"]),
    ],
)  # fmt: skip
def test_a_requirements_file_is_a_lock_only_with_hashes(files: dict[str, str], found: list[str]) -> None:
    assert find_locks(SourceTree.of(files)) == found


def test_names_declared_in_every_manifest() -> None:
    tree = SourceTree.of(
        {
            "pyproject.toml": '[project]\nname = "x"\ndependencies = ["Flask>=3; os_name == \'nt\'"]\n'
            '[tool.poetry.dependencies]\npython = "^3.11"\ndjango = "*"\n',
            LOCK: "-r more.in\nUvicorn[standard]\n-e .\n./libs\nhttps://files.example/x.whl\n--pre\n",
            "more.in": "celery>=5\n",
            "requirements.in": "gunicorn\n",
            "Pipfile": '[packages]\nfast_api = "*"\n[dev-packages]\npytest = "*"\n',
            "setup.cfg": "[options]\ninstall_requires =\n  requests>=2  # why\n  # none\n  rich\n",
        }
    )
    expected = {"flask", "django", "uvicorn", "celery", "gunicorn", "fast-api", "requests", "rich"}
    assert declared(tree) == expected
    assert declared(SourceTree.of({"main.py": ""})) == frozenset()


# --- encodings -------------------------------------------------------------------------------------------------

PINNED = f"a==1.0 --hash={A}  # für später\n"
ENCODED = {
    "UTF-8 with a mark": PINNED.encode("utf-8-sig"),
    "UTF-16 as Windows' shell writes it": b"\xff\xfe" + PINNED.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16 of the other order": b"\xfe\xff" + PINNED.encode("utf-16-be"),
    "UTF-32": PINNED.encode("utf-32"),
    "PEP 263": f"# -*- coding: latin-1 -*-\n{PINNED}".encode("latin-1"),
    "PEP 263 in the second line": f"# packages\n# vim: set fileencoding=cp1252 :\n{PINNED}".encode("cp1252"),
    "PEP 263 that says UTF-8": b"\xef\xbb\xbf" + f"# coding: utf_8\n{PINNED}".encode(),
}


@pytest.mark.parametrize("name", ENCODED)
def test_encodings_are_read_as_pip_reads_them(name: str) -> None:
    tree = SourceTree.of({LOCK: ENCODED[name]})
    assert find_locks(tree) == [LOCK]
    assert declared(tree) == {"a"}
    assert [one.name for one in read_lock(tree, LOCK, TARGET, lookup=Pages()).artifacts] == ["a@1.0"]
    included = SourceTree.of({LOCK: "-r more.txt\n", "more.txt": ENCODED[name]})
    assert [one.name for one in read_lock(included, LOCK, TARGET, lookup=Pages()).artifacts] == ["a@1.0"]


MALFORMED = {
    "latin-1 unsaid": (f"b\n{PINNED}".encode("latin-1"), 2, "is not UTF-8 text", "Save it as UTF-8."),
    "not what it says": (b"# coding: ascii\n" + PINNED.encode(), 2, "is not ascii text", "Save it as UTF-8."),
    "an unknown encoding": (
        b"#\n# coding: klingon\na==1\n", 2, "names the encoding 'klingon', which Python does not know",
        "Save it as UTF-8, and delete that comment.",
    ),
    "an encoding that is none of text": (
        b"# coding: rot13\na==1\n", 1, "names the encoding 'rot13', which Python does not know",
        "Save it as UTF-8, and delete that comment.",
    ),
    "UTF-16 without a mark": (
        "a==1\n".encode("utf-16-le"), 1, "holds a NUL character: perhaps it is UTF-16 without a mark", "Save it as UTF-8.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_what_no_encoding_reads_is_named(name: str) -> None:
    data, line, message, hint = MALFORMED[name]
    with pytest.raises(BadLock) as caught:
        read_lock(SourceTree.of({LOCK: data}), LOCK, TARGET, lookup=Pages())
    assert (caught.value.where, caught.value.message, caught.value.hint) == (f"{LOCK}:{line}", message, hint)
