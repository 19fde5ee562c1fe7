"""`manifest.yml`: variables, anchors, what is refused with its line, and what is sent."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stager.errors import BadManifest, UsageError
from stager.fetching.errors import TooLarge
from stager.targets.cloudfoundry import variables
from stager.targets.cloudfoundry.manifest import AppManifest, choose, find, load, parse, render, secrets
from stager.targets.cloudfoundry.yamlvalues import read

FILE = "manifest.yml"


def sent(text: str, *assignments: str) -> dict[str, Any]:
    """What the API gets for the first app."""
    app = parse(text, FILE, variables.collect(assignments, []))[0]
    document: dict[str, Any] = json.loads(render(app, ""))
    assert yaml.safe_load(render(app, "")) == document, "it is YAML, too"
    assert document["version"] == 1
    found: dict[str, Any] = document["applications"][0]
    return found


def refusal(text: str, *assignments: str) -> str:
    with pytest.raises(BadManifest) as caught:
        parse(text, FILE, variables.collect(assignments, []))
    return f"{caught.value.where}: {caught.value.message}"


def app(*lines: str) -> str:
    return "applications:\n- name: shop\n" + "".join(f"  {line}\n" for line in lines)


# --- values ----------------------------------------------------------------------------------------------------


def test_values_are_typed_as_yaml_says() -> None:
    text = app(
        "instances: 2", "no-route: yes", "command: null", "stack: '4'", "services: [{name: a, parameters: {n: 0x10}}]"
    )
    assert sent(text) == {
        "name": "shop", "instances": 2, "no-route": True, "command": None, "stack": "4",
        "services": [{"name": "a", "parameters": {"n": 16}}],
    }  # fmt: skip


def test_the_environment_is_text_as_written() -> None:
    text = app(
        "env:", "  A: 3.10", "  B: 007", "  C: yes", "  D: ~", "  E: 1_000", "  F: 2026-01-01", "  G: 'x'", "  H: 1:30"
    )
    assert sent(text)["env"] == {
        "A": "3.10", "B": "007", "C": "yes", "D": "~", "E": "1_000", "F": "2026-01-01", "G": "x", "H": "1:30",
    } | {"D": ""}  # fmt: skip


def test_anchors_and_merge_keys_are_spelled_out() -> None:
    text = """
defaults: &defaults
  memory: 256M
  env: &env {A: 1}
applications:
- name: one
  <<: *defaults
- name: two
  <<: [{memory: 1G}, *defaults]
  env: {<<: *env, B: 2}
"""
    one, two = (json.loads(render(found, ""))["applications"][0] for found in parse(text, FILE, {}))
    assert one == {"name": "one", "memory": "256M", "env": {"A": "1"}}
    assert two == {"name": "two", "memory": "1G", "env": {"A": "1", "B": "2"}}


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too large" in refusal("\n".join([*lines, app()]))


def test_an_alias_to_itself_is_refused() -> None:
    assert "too large" in refusal("a: &a [*a]\n" + app())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "manifest.yml:1: not valid YAML: expected the node content, but found '<stream end>'"),
        ("\tx", "manifest.yml:1: not valid YAML: found character '\\t' that cannot start any token"),
        ("a: 1\na: 2\n", "manifest.yml:2: 'a' is given twice"),
        ("a: !x y\n", "manifest.yml:1: tags (!name) are not allowed"),
        ("? [a]\n: b\n", "manifest.yml:1: a key must be text"),
        ("<<: 1\n", "manifest.yml:1: a merge key (<<) takes a table or a list of tables"),
        ("- a\n", "manifest.yml:1: a manifest is a table with the key 'applications'"),
        ("", "manifest.yml:1: has no app under 'applications'"),
        ("applications: []\n", "manifest.yml:1: has no app under 'applications'"),
        ("applications: [1]\n", "manifest.yml:1: an app is a table with a name"),
        ("applications:\n- memory: 1G\n", "manifest.yml:2: an app has no name"),
        ("version: 2\n" + app(), "manifest.yml:1: only version 1 of the manifest is supported"),
        ("inherit: x\n" + app(), "manifest.yml:1: 'inherit' was removed from manifests"),
        ("memory: 1G\n" + app(), "manifest.yml:1: 'memory' stands outside of an app"),
        (app("docker: {image: x}"), "manifest.yml:3: the app is a docker app, and a droplet is none"),
        (app("lifecycle: cnb"), "manifest.yml:3: a droplet has the lifecycle buildpack, not 'cnb'"),
        (app("host: x"), "manifest.yml:3: 'host' was removed from manifests"),
        (app("domains: [x]"), "manifest.yml:3: 'domains' was removed from manifests"),
        (app("memory: 512"), "manifest.yml:3: 'memory' of shop needs a unit behind the number: B, K, M, G or T"),
        (app("disk_quota: lots"), "manifest.yml:3: 'disk_quota' of shop needs a unit behind the number: B, K, M, G or T"),
        (app("disk_quota: 1G", "disk-quota: 1G"), "manifest.yml:4: shop has both 'disk_quota' and 'disk-quota'"),
        (app("instances: two"), "manifest.yml:3: 'instances' of shop must be a whole number, at least 0"),
        (app("instances: true"), "manifest.yml:3: 'instances' of shop must be a whole number, at least 0"),
        (app("timeout: 0"), "manifest.yml:3: 'timeout' of shop must be a whole number, at least 1"),
        (app("no-route: 'yes'"), "manifest.yml:3: 'no-route' of shop must be true or false"),
        (
            app("health-check-type: tcp"),
            "manifest.yml:3: 'health-check-type' of shop must be one of: port, process, http, none",
        ),
        (app("command: " + "x" * 4097), "manifest.yml:3: 'command' of shop must have 1 to 4096 characters"),
        (app("env: [A]"), "manifest.yml:3: 'env' must be a table of names and values"),
        (app("env:", "  A: {b: c}"), "manifest.yml:4: the variable A must be a plain value"),
        (app("env: {vcap_services: x}"), "manifest.yml:3: the variable 'vcap_services' cannot be set"),
        (app("env: {PORT: 1}"), "manifest.yml:3: the variable 'PORT' cannot be set"),
        (app("processes: web"), "manifest.yml:3: 'processes' must be a list of tables"),
        (app("processes: [{memory: 1G}]"), "manifest.yml:3: a process has no type"),
        (app("processes:", "- type: a", "- type: a"), "manifest.yml:5: the process a is there twice"),
        (app("processes:", "- type: a", "  memory: 1"),
         "manifest.yml:5: 'memory' of process a needs a unit behind the number: B, K, M, G or T"),
        (app("sidecars: [{name: a}]"), "manifest.yml:3: a sidecar has no command"),
        (app("sidecars: [{name: a, command: b}]"), "manifest.yml:3: the sidecar a has no process_types"),
        (app("services: db"), "manifest.yml:3: 'services' must be a list"),
        (app("services: [{binding_name: x}]"), "manifest.yml:3: a service is a name, or a table with a name"),
        (app("routes: [www.example.org]"), "manifest.yml:3: 'routes' must be a list of tables"),
        *((app(f"routes: [{{route: '{route}'}}]"), "manifest.yml:3: a route is a host name with an optional path or port")
          for route in ("ftp://a.b", "https://a.b:443", "tcp://a.b", "a b.c", "localhost", "/path", "a.b?q", "https://", ".")),
        *((app(f"memory: {text}"), "manifest.yml:3: 'memory' of shop needs a unit behind the number: B, K, M, G or T")
          for text in ("512 M", "-1M", "M", "1MBit", "1e3M", "٣M", "true", "1PB")),
        *((app(f"{key}: {text}"),
           f"manifest.yml:3: '{key}' of shop is less than 1M, and the platform counts in whole megabytes")
          for key in ("memory", "disk_quota") for text in ("0M", "0.5M", "1023K", "100B")),
        (app("processes:", "- type: a", "  memory: 0M"),
         "manifest.yml:5: 'memory' of process a is less than 1M, and the platform counts in whole megabytes"),
        (app("instances: '-1'"), "manifest.yml:3: 'instances' of shop must be a whole number, at least 0"),
        (app("instances: 1.0"), "manifest.yml:3: 'instances' of shop must be a whole number, at least 0"),
        (app("instances: '²'"), "manifest.yml:3: 'instances' of shop must be a whole number, at least 0"),
        (app("command: 5"), "manifest.yml:3: 'command' of shop must be a text"),
        (app("command: ''"), "manifest.yml:3: 'command' of shop must have 1 to 4096 characters"),
        (app("processes: [{type: a, command: [x]}]"), "manifest.yml:3: 'command' of process a must be a text"),
        *((app(f"env: {{{name}: 1}}"), f"manifest.yml:3: the variable '{name}' cannot be set")
          for name in ("port", "Port", "VMC_APP", "vmcx")),
        (app("features: {flying: true}"), "manifest.yml:3: the platform does not take the feature 'flying' like this"),
        (app("features: {ssh: 'yes'}"), "manifest.yml:3: the platform does not take the feature 'ssh' like this"),
        (app("features: {}"), "manifest.yml:3: 'features' is a table of names with true or false"),
        (app("services: [{name: db, plan: small}]"), "manifest.yml:3: 'plan' cannot be said of the service db"),
        (app("metadata: {labels: {team/x: y}}"), "manifest.yml:3: 'team/x' cannot be a key of labels"),
        (app("metadata: {annotations: {-a.b/x: y}}"), "manifest.yml:3: '-a.b/x' cannot be a key of annotations"),
        (app("sidecars: [{name: a, command: b, process_types: [web], memory: 0M}]"),
         "manifest.yml:3: 'memory' of sidecar a is less than 1M, and the platform counts in whole megabytes"),
        (app("health-check-http-endpoint: health"), "manifest.yml:3: 'health-check-http-endpoint' of shop must be a path, such as '/health'"),  # noqa: E501
        (app("health-check-type: port", "health-check-http-endpoint: /up"),
         "manifest.yml:3: 'health-check-type' of shop must be http for an endpoint"),
        (
            app("random-route: true", "default-route: true"),
            "manifest.yml:3: 'random-route' and 'default-route' exclude each other",
        ),
        (app("metadata: {label: {}}"), "manifest.yml:3: 'metadata' is a table with 'labels' and 'annotations'"),
        (app("metadata: {labels: {cloudfoundry.org/x: y}}"), "manifest.yml:3: 'cloudfoundry.org/x' cannot be a key of labels"),
        (app("metadata: {labels: {-x: y}}"), "manifest.yml:3: '-x' cannot be a key of labels"),
        (app("metadata: {labels: {x: a b}}"), "manifest.yml:3: the value of 'x' in labels is more than 63 letters, digits, '-', '_' and '.'"),  # noqa: E501
        (app() + "- name: shop\n", "manifest.yml:3: the app shop is there twice"),
    ],
)  # fmt: skip
def test_what_the_platform_would_refuse(text: str, why: str) -> None:
    assert refusal(text) == why


@pytest.mark.parametrize(
    "line",
    [
        *(f"memory: {text}" for text in ("512MiB", "1GB", "1g", "2048K", "1.5G", "1048576B", "' 1G '", "null", "''")),
        *(f"instances: {text}" for text in ("'2'", "null", "0", "'+3'")),
        *(f"timeout: {text}" for text in ("'60'", "null")),
        *(f"routes: [{{route: '{text}'}}]"
          for text in ("https://a.b/c", "http://a.b", "tcp.a.b:1024", "tcp://a.b:1024", "*.a.b", "a.b")),
        "metadata: null",
        "metadata: {labels: null, annotations: {example.org/x: y, plain: z}}",
        "readiness-health-check-type: none",
        "health-check-http-endpoint: /up",
        "sidecars: [{name: a, command: b, process_types: [web], memory: 64}]",
        "sidecars: [{name: a, command: b, process_types: [web], memory: 64M}]",
        "services: [db, {name: cache, parameters: {a: 1}, binding_name: c}]",
        "features: {ssh: true, revisions: false, file-based-vcap-services: true}",
        "no-route: null",
        "command: null",
    ],
)  # fmt: skip
def test_what_the_platform_accepts_is_sent(line: str) -> None:
    key = line.partition(":")[0]
    assert key in sent(app(line))


def test_what_belongs_to_staging_is_left_out_with_a_remark() -> None:
    text = app("path: ./src", "buildpacks: [python_buildpack]", "memory: 1G")
    found = parse(text, FILE, {})[0]
    assert json.loads(render(found, "cflinuxfs4"))["applications"] == [
        {"name": "shop", "memory": "1G", "stack": "cflinuxfs4"}
    ]
    assert found.notes == (
        "manifest.yml:4: 'buildpacks' is not used: what is pushed is staged already",
        "manifest.yml:3: 'path' is not used: what is pushed is staged already",
    )


def test_unknown_keys_are_sent_with_a_remark() -> None:
    found = parse("vesion: 1\n" + app("memroy: 1G", "brand-new: {a: 1}"), FILE, {})[0]
    assert json.loads(render(found, ""))["applications"][0]["brand-new"] == {"a": 1}
    assert found.notes == (
        "manifest.yml:1: the platform may not know the key 'vesion' here; is version meant?",
        "manifest.yml:4: the platform may not know the key 'memroy' of app shop; is memory meant?",
        "manifest.yml:5: the platform may not know the key 'brand-new' of app shop",
    )


def test_a_manifest_over_the_limit() -> None:
    with pytest.raises(TooLarge):
        render(parse(app("env: {A: " + "x" * (1 << 20) + "}"), FILE, {})[0], "")


# --- variables -------------------------------------------------------------------------------------------------


def test_variables_keep_their_type_or_become_part_of_a_text() -> None:
    text = app(
        "instances: ((count))",
        "env: {URL: 'https://((host)):((port))/', '((key))': ((list.b))}",
        "services: ((services))",
    )
    found = sent(text, "count=3", "host=a.b", "port=0443", "key=K", "list={b: x}", "services=[db, queue]")
    assert found == {
        "name": "shop", "instances": 3, "env": {"URL": "https://a.b:0443/", "K": "x"}, "services": ["db", "queue"],
    }  # fmt: skip


def test_files_and_arguments_win_in_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yml", tmp_path / "b.yml"
    first.write_text("one: 1\ntwo: 1\nthree: 1\n")
    second.write_text("two: 2\nthree: 2\n")
    path = tmp_path / FILE
    path.write_text(app("env: {A: ((one)), B: ((two)), C: ((three))}"))
    found = load(str(path), ["three=3"], [str(first), str(second)])[0]
    assert found.values["env"].plain() == {"A": "1", "B": "2", "C": "3"}


def test_missing_variables_are_all_named() -> None:
    assert refusal(app("env: {A: ((one))}", "memory: ((two.x))", "instances: 1((one))"), "two={y: 1}") == (
        "manifest.yml:3: variables without a value: one (line 3), two.x (line 4)"
    )


def test_a_table_cannot_be_part_of_a_text() -> None:
    assert (
        refusal(app("memory: ((a))M"), "a={b: c}")
        == "manifest.yml:3: ((a)) stands inside a text and has no plain value"
    )


@pytest.mark.parametrize("wrong", ["a", "=b", "a b=c"])
def test_assignments_that_are_none(wrong: str) -> None:
    with pytest.raises(UsageError):
        variables.collect([wrong], [])


def test_an_assignment_may_be_empty() -> None:
    assert sent(app("env: {A: 'x((a))'}"), "a=")["env"] == {"A": "x"}


def test_what_is_secret(tmp_path: Path) -> None:
    path, vars_file = tmp_path / FILE, tmp_path / "vars.yml"
    path.write_text(app("env: {A: plain-env, B: ((b))}", "services: [{name: db, parameters: {key: in-parameters}}]"))
    vars_file.write_text("b: from-file\nunused: [deep-one]\nenv-name: shop\n")
    apps = load(str(path), ["c=from-argument"], [str(vars_file)])
    found = set(secrets(["c=from-argument"], [str(vars_file)], apps))
    assert {"plain-env", "from-file", "deep-one", "from-argument", "in-parameters"} <= found
    assert "shop" not in found, "the app's own name"


# --- which app -------------------------------------------------------------------------------------------------


def named(*names: str) -> tuple[AppManifest, ...]:
    return parse("applications:\n" + "".join(f"- name: {name}\n" for name in names), FILE, {})


def test_choosing() -> None:
    assert [one.name for one in choose(named("a"), [], FILE)] == ["a"]
    assert [one.name for one in choose(named("a", "b", "c"), ["c", "a"], FILE)] == ["c", "a"]
    assert [one.name for one in choose((), ["x", "y"], "")] == ["x", "y"]
    renamed = choose(named("a"), ["b"], FILE)[0]
    assert json.loads(render(renamed, ""))["applications"] == [{"name": "b"}]
    with pytest.raises(UsageError, match="has 2 apps"):
        choose(named("a", "b"), [], FILE)
    with pytest.raises(UsageError, match="has no app c"):
        choose(named("a", "b"), ["c"], FILE)


def test_finding(tmp_path: Path) -> None:
    assert find(str(tmp_path)) == ""
    (tmp_path / "manifest.yaml").write_text("")
    assert find(str(tmp_path)) == str(tmp_path / "manifest.yaml")
    (tmp_path / "manifest.yml").write_text("")
    assert find(str(tmp_path)) == str(tmp_path / "manifest.yml")


@pytest.mark.parametrize("content", [b"\xff", None])
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / FILE
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadManifest) as caught:
        load(str(path))
    assert caught.value.where == str(path)


# --- any text --------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("a:-[]{}&*!<>\"'()#,\n \t?|%@`~0.x\x00é"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for whole in (text, app(text.replace("\n", "\n  "))):
        found: tuple[AppManifest, ...] = ()
        with contextlib.suppress(BadManifest):
            found = parse(whole, FILE, {})
        for one in found:
            assert yaml.safe_load(render(one, "")) == json.loads(render(one, ""))


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=9)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.recursive(VALUES, st.lists, max_leaves=8), max_size=4))
def test_json_reads_as_itself(document: dict[str, Any]) -> None:
    assert read(json.dumps(document), FILE).plain() == document


def test_half_a_sign_is_refused() -> None:
    assert refusal(app('env: {A: "\\ud83d"}')) == "manifest.yml:3: it holds half a sign (a lone surrogate)"
    assert sent(app('env: {A: "\\ud83d\\ude00"}'))["env"] == {"A": "😀"}
