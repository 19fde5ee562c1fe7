"""Recipes: each is what its name says, what they derive is the same for the same build, and secrets stay secrets."""

from __future__ import annotations

import base64
import builtins
import json
import re
import uuid
from pathlib import Path

import pytest

import stager
from stager.builds import recipes
from stager.builds.recipes import Around, Recipe, astro, frozen_clock, next_js, nuxt
from stager.model import APP, INTERNAL, Build, Reason
from stager.planning import buildpacks

BUILD = Build("build", APP, "stack", "npm run build", Reason("a test"), outputs=("web/.next",), folder="web")


def around(content: bytes = b"content", key: str = "k", build: Build = BUILD) -> Around:
    return Around(build, key, content)


@pytest.mark.parametrize("name", sorted(recipes.TOOLS))
def test_a_recipe_is_what_the_registry_says(name: str) -> None:
    recipe = recipes.tool(name)
    assert isinstance(recipe, Recipe)
    assert recipe.name == name
    assert recipe.mends
    for variable in ("NODE_OPTIONS", "PYTHONPATH"):
        for word in recipe.env(around()).get(variable, "").replace("--require=", "").split():
            assert word.startswith(recipes.PROVIDED)
            assert any(f"{recipes.PROVIDED}/{path}".startswith(word) for path in recipe.provides(around()))


def test_buildpacks_name_only_recipes_that_there_are() -> None:
    named = {name for pack in buildpacks.load_all() for tool in pack.tools for name in tool.recipes}
    named |= {name for pack in buildpacks.load_all() for build in pack.builds for name in build.recipes}
    assert named
    assert named <= recipes.TOOLS.keys()


def test_what_stagers_own_programs_are_told_no_app_sets() -> None:
    asked = re.compile(r"\b(?:BUILD|FIXED_BUILD)_[A-Z_]+\b")
    top = Path(stager.__file__).parent
    programs = [
        *top.glob("builds/recipes/*.js"),
        *top.glob("ecosystems/*/inside/*"),
        *top.glob("ecosystems/*/building.py"),
    ]
    assert {name for path in programs if path.is_file() for name in asked.findall(path.read_text())} == INTERNAL


def test_a_recipe_that_locks_have_leaves_what_it_left() -> None:
    former, now = recipes.tool("nuxt/1"), recipes.tool("nuxt/2")
    assert former
    assert now
    assert (former.rewrites, {*now.rewrites.values()}) == ({}, {nuxt.in_order, nuxt.files_in_order})
    assert former.env(around()) == now.env(around())


def test_secrets_follow_the_contents_of_the_app_and_nothing_else() -> None:
    keys = json.loads(next_js.preview(around())["web/.next/cache/.previewinfo"])
    assert keys == json.loads(next_js.preview(around(key="another"))["web/.next/cache/.previewinfo"])
    other = json.loads(next_js.preview(around(b"other"))["web/.next/cache/.previewinfo"])
    assert len({*keys.values(), *other.values()}) == 2 * len(keys) - 1  # all but the time at which they expire
    assert [len(keys[name]) for name in ("previewModeId", "previewModeSigningKey", "previewModeEncryptionKey")] == [
        32,
        64,
        64,
    ]
    secret = next_js.RECIPE.env(around())["NEXT_SERVER_ACTIONS_ENCRYPTION_KEY"]
    assert len(base64.b64decode(secret)) == 32
    assert secret != next_js.RECIPE.env(around(b"other"))["NEXT_SERVER_ACTIONS_ENCRYPTION_KEY"]


def test_the_key_of_astros_islands_is_as_secret_as_the_app() -> None:
    key = astro.RECIPE.env(around())["ASTRO_KEY"]
    assert len(base64.b64decode(key)) == 32
    assert key == astro.RECIPE.env(around(key="another"))["ASTRO_KEY"]
    assert key != astro.RECIPE.env(around(b"other"))["ASTRO_KEY"]


def test_identifiers_follow_what_goes_in() -> None:
    one, other = (next_js.RECIPE.env(around(key=key))["FIXED_BUILD_ID"] for key in ("k", "l"))
    assert one == next_js.RECIPE.env(around(b"other content"))["FIXED_BUILD_ID"]
    assert one != other
    assert uuid.UUID(frozen_clock.uuid(around())).version == 4


def test_an_exported_site_has_its_keys_where_it_is_built() -> None:
    exported = Build("build", APP, "stack", "npm run build", Reason("a test"), outputs=("out",))
    assert [*next_js.preview(around(build=exported))] == [".next/cache/.previewinfo"]


def test_manifests_come_in_one_order() -> None:
    assert next_js.in_order(b'{"b": 1, "a": {"d": 2, "c": 3}}') == next_js.in_order(b'{"a": {"c": 3, "d": 2}, "b": 1}')
    assert next_js.in_order(b"no JSON") == b"no JSON"


def test_variables_that_several_recipes_set_are_joined() -> None:
    joined = recipes.joined([{"NODE_OPTIONS": "-a", "X": "1"}, {"NODE_OPTIONS": "-b", "X": "2"}, {"PYTHONPATH": "/x"}])
    assert joined == {"NODE_OPTIONS": "-a -b", "X": "2", "PYTHONPATH": "/x"}


def test_no_recipe_takes_the_name_of_what_python_brings() -> None:
    """A module of a package is a name in it: one called as a builtin is would stand in its place from its first import on."""
    assert not {name.rpartition(".")[2] for name in recipes.TOOLS.values()} & {*dir(builtins)}


STYLES = b"""const interopDefault = r => r.default || r || [];
const styles = {
  "b.vue": () => import('../build/b-styles.mjs').then(interopDefault),
  "a.vue": () => import('../build/a-styles.mjs').then(interopDefault)
};

export { styles as default };
"""


def test_nuxts_styles_come_in_one_order() -> None:
    first, second = STYLES.splitlines(keepends=True)[2:4]
    swapped = STYLES.replace(first + second, second.replace(b")\n", b"),\n") + first.replace(b"),\n", b")\n"))
    assert swapped != STYLES
    assert nuxt.in_order(STYLES) == nuxt.in_order(swapped) == swapped
    for other in (b"", b"const styles = {};\n", STYLES.replace(b"\n  ", b" ")):
        assert nuxt.in_order(other) == other


FILES = b"""const other = {
  "/x": 1
};
const assets = {
  "/_nuxt/builds/meta/1.json": {
    "type": "application/json",
    "size": 139
  },
  "/_nuxt/b.css": {
    "type": "text/css; charset=utf-8",
    "size": 12
  },
  "/_nuxt/a.js": {
    "type": "text/javascript; charset=utf-8",
    "size": 7
  }
};
"""


def test_nuxts_public_files_come_in_one_order() -> None:
    lines = FILES.splitlines(keepends=True)
    one, two, three = (b"".join(lines[at : at + 3]) + b"  }" for at in (4, 8, 12))
    assert nuxt.files_in_order(FILES) == b"".join([*lines[:4], three, b",\n", two, b",\n", one, b"\n};\n"])
    assert nuxt.files_in_order(nuxt.files_in_order(FILES)) == nuxt.files_in_order(FILES)
    for left in (b"", b"const assets = {};\n", STYLES):
        assert nuxt.files_in_order(left) == left
