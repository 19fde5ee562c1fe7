from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from made import BOX, definition, folder

from stager.errors import InvalidDefinition, UsageError
from stager.facts import stacks
from stager.stacks import find, root
from stager.stacks.definition import StackFile, StackFolder, StackPart, StackStep, User

OWN = ["debian-12", "debian-13"]


@pytest.mark.parametrize("name", OWN)
def test_the_shipped_stacks_keep_the_designs_rules(name: str) -> None:
    found = find.load(name)
    assert found.root.users == (User("vcap", 2000, 2000, "/home/vcap", "/bin/bash"),)
    assert found.root.folders == (StackFolder("app", 0o775, 2000, 0),)
    assert found.root.links == (("home/vcap/app", "/app"),)
    assert {"ca-certificates", "tzdata", "libstdc++6", "libgcc-s1", "libatomic1"} <= set(found.root.packages)
    assert [part.name for part in found.sets] == ["ssh", "machine", "postgresql", "redis"]
    assert not {"systemd-sysv", "openssh-server"} & set(found.root.packages)
    machine = found.part("machine")
    assert machine is not None
    assert machine.needs == ("ssh",)
    assert "linux-image-cloud-arm64" in machine.packages_for("arm64")
    assert [part.name for part in found.chosen(["machine"])] == ["root", "ssh", "machine"]


@pytest.mark.parametrize("name", sorted(set(stacks.names()) - set(OWN)))
def test_platforms_own_stacks_are_not_built(name: str) -> None:
    found = find.load(name)
    assert found.root.packages == ()
    with pytest.raises(UsageError) as caught:
        root.chosen(found, ())
    assert caught.value.message == f"stack {name} is not built by stager: its root filesystem is its platform's own"


def test_everything_of_a_part_is_read(tmp_path: Path) -> None:
    text = BOX.replace(
        "  packages: [shell]\n",
        """\
  packages: [shell, "kernel-$architecture"]
  exclude: [nothing]
  merged-usr: "yes"
  env: {B: "2", A: "1"}
  folders: {/srv/x: {mode: "0750", uid: "33", gid: "34"}, /srv/y: {}}
  links: {/srv/z: y}
  files: {/etc/motd: "hello\\n", /etc/secret: {mode: "0600", text: ""}}
  remove: [usr/share/doc/**]
  keep: [usr/share/doc/*/copyright]
  tree: files
  script: setup.sh
""",
    )
    place = folder(tmp_path, text)
    (place / "files" / "opt").mkdir(parents=True)
    (place / "files" / "opt" / "tool").write_text("#!/bin/sh\n")
    (place / "files" / "opt" / "tool").chmod(0o700)
    (place / "files" / "opt" / "link").symlink_to("tool")
    (place / "setup.sh").write_text("true\n")
    found = find.load(str(place))
    assert found.root == StackPart(
        "root",
        ("kernel-$architecture", "shell"),
        ("nothing",),
        (),
        (User("vcap", 2000, 2000, "/home/vcap", "/bin/sh"),),
        (StackFolder("srv/x", 0o750, 33, 34), StackFolder("srv/y")),
        (("srv/z", "y"), ("opt/link", "tool")),
        (
            StackFile("etc/motd", b"hello\n"),
            StackFile("etc/secret", b"", 0o600),
            StackFile("opt/tool", b"#!/bin/sh\n", 0o755),
        ),
        ("usr/share/doc/**",),
        ("usr/share/doc/*/copyright",),
    )
    assert (found.name, found.merged_usr, found.locale, found.env) == ("mine", True, "C", (("A", "1"), ("B", "2")))
    assert found.steps == (StackStep("script", (("script", b"true\n"),)),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  locale: C\n", "  locales: C\n", "root: does not know 'locales'; it knows "),
        ("[shell]", "[Shell]", "root.packages: 'Shell' is not the name of a Debian package"),
        ('uid: "2000"', "uid: root", "root.users.vcap.uid: expected a number below 65534"),
        ('uid: "2000"', 'uid: "65534"', "root.users.vcap.uid: expected a number below 65534"),
        (
            "home: /home/vcap",
            "home: /home/../vcap",
            "root.users.vcap.home: '/home/../vcap' is not a plain absolute path",
        ),
        ("shell: /bin/sh", "shell: /bin/sh:x", "root.users.vcap.shell: expected an absolute path"),
        ("    vcap:", "    Vcap:", "root.users.Vcap: is not the name of a user"),
        ("  locale: C\n", "  files: {etc/x: y}\n", "root.files.etc/x: 'etc/x' is not a plain absolute path"),
        ("  locale: C\n", '  folders: {/x: {mode: "0999"}}\n', "root.folders./x.mode: expected a mode such as 0755"),
        ("  locale: C\n", "  remove: [a/**/b]\n", "root.remove: 'a/**/b' is not a pattern of paths"),
        ("  locale: C\n", "  merged-usr: maybe\n", "root.merged-usr: expected yes or no"),
        ("  locale: C\n", "  tree: ../x\n", "root.tree: there is no ../x beside box.yml"),
        ("  locale: C\n", "  script: none.sh\n", "root.script: there is no none.sh beside box.yml"),
        ("  locale: C\n", "  chef: {cookbooks: x}\n", "root.chef: needs a run_list"),
        (
            "  locale: C\n",
            "  chef: {run_list: [a b]}\n",
            "root.chef.run_list: 'a b' is neither recipe[NAME] nor role[NAME]",
        ),
        ("  ssh:", "  Ssh:", "vagrant.Ssh: is not a plain name"),
        ("  ssh:", "  root:", "document: two parts are called root"),
        ("{packages: [server]}", "{with: [x]}", "ssh: there is no set 'x' that it could come with"),
        ("{packages: [server]}", "{locale: C}", "vagrant.ssh: does not know 'locale'; it knows "),
    ],
)
def test_a_wrong_definition_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in BOX
    place = folder(tmp_path, BOX.replace(old, new))
    with pytest.raises(InvalidDefinition) as caught:
        find.load(str(place))
    assert caught.value.message.startswith(message)
    assert caught.value.where.startswith(str(place / "box.yml"))


def test_a_tree_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stager.stacks.reading.LARGEST", 10)
    place = folder(tmp_path, BOX.replace("  locale: C\n", "  tree: files\n"))
    (place / "files").mkdir()
    (place / "files" / "x").write_bytes(bytes(11))
    with pytest.raises(InvalidDefinition, match=r"root\.tree: holds more than 10 bytes; make a package of it"):
        find.load(str(place))


def test_an_own_stack_adds_to_what_it_extends(tmp_path: Path) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    (place / "add.sh").write_text("true\n")
    (place / "box.yml").write_text(
        "extends: debian-12\nsummary: Mine\n"
        "root: {packages: [jq], script: add.sh, files: {/etc/motd: mine}, env: {X: y}, remove: [opt/**]}\n"
        "vagrant: {ssh: {packages: [tmux]}}\nservices: {memcached: {packages: [memcached]}}\n"
    )
    base, found = find.load("debian-12"), find.load(str(place))
    assert (found.name, found.extends, found.box.summary) == ("mine", "debian-12", "Mine")
    assert found.box == replace(base.box, name="mine", summary="Mine")
    assert found.root == replace(
        base.root,
        packages=tuple(sorted({*base.root.packages, "jq"})),
        files=(StackFile("etc/motd", b"mine"),),
        remove=(*base.root.remove, "opt/**"),
    )
    assert (found.merged_usr, found.locale) == (base.merged_usr, base.locale)
    assert found.env == (*base.env, ("X", "y"))
    assert [part.name for part in found.sets] == ["ssh", "machine", "postgresql", "redis", "memcached"]
    assert found.sets[0] == replace(base.sets[0], packages=tuple(sorted({*base.sets[0].packages, "tmux"})))
    assert [step.kind for step in found.steps] == ["script"]
    assert found.wishes() != base.wishes()


def test_own_stacks_may_extend_own_stacks_but_not_in_a_circle(tmp_path: Path) -> None:
    for name, parent in (("a", "debian-13"), ("b", "../a"), ("c", "./../c")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "box.yml").write_text(f"extends: {parent}\nroot: {{packages: [{name}]}}\n")
    found = find.load(os.path.join(tmp_path, "b"))
    assert (found.extends, found.box.suite) == ("a", "trixie")
    assert {"a", "b"} <= set(found.root.packages)
    with pytest.raises(InvalidDefinition, match="extends: leads in a circle, or through too many stacks"):
        find.load(os.path.join(tmp_path, "c"))


def test_what_cannot_be_extended(tmp_path: Path) -> None:
    place = folder(tmp_path, "extends: cflinuxfs4\n")
    with pytest.raises(InvalidDefinition, match="extends: cflinuxfs4 has no root filesystem of stager's making"):
        find.load(str(place))
    place = folder(tmp_path, "extends: debian-12\n", "debian-12")
    with pytest.raises(
        InvalidDefinition, match="a stack is called as its folder; 'debian-12' is a shipped stack's name"
    ):
        find.load(str(place))
    place = folder(tmp_path, 'extends: debian-12\nglibc: "2.17"\n', "other")
    with pytest.raises(InvalidDefinition, match="document: does not know 'glibc'"):
        find.load(str(place))
    with pytest.raises(UsageError, match=r"there is no .*/nowhere/box\.yml"):
        find.load(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="there is no stack 'nothing'"):
        find.load("nothing")


def test_what_is_asked_for_decides_whether_a_lock_fits(tmp_path: Path) -> None:
    plain = definition(tmp_path, name="a").wishes()
    files = definition(tmp_path, BOX.replace("  locale: C\n", "  files: {/etc/motd: x}\n"), "b").wishes()
    other = definition(tmp_path, BOX.replace("[shell]", "[shell, jq]"), "c").wishes()
    third = definition(tmp_path, BOX.replace("[server]", "[server, jq]"), "d").wishes()
    assert plain == files
    assert len({plain, other, third}) == 3
