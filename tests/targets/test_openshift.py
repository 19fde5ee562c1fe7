"""Manifests that Kubernetes' and OpenShift's own schemas accept, under the rules of `restricted-v2`; the s2i builder."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from apps_fixture import expectation, materialise
from command import ask, free_port, in_process
from image_files import digest
from small_droplets import PROCFILE, small_droplet
from unpacking import unpack

import stager as library
from stager.droplet.reader import open_droplet
from stager.errors import BadManifest, CannotWrite, StagerError, UsageError
from stager.formats.errors import BadArchive
from stager.store import Store
from stager.targets import load
from stager.targets.openshift import export as openshift
from stager.targets.openshift.kubernetes import component_names

VERSIONS = ("1.28", "1.31")
ROUTE = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "route.openshift.io/v1"},
        "kind": {"const": "Route"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "required": ["to"],
            "additionalProperties": False,
            "properties": {
                "host": {"type": "string", "maxLength": 253, "pattern": r"^([a-zA-Z0-9-]{1,63}\.)*[a-zA-Z0-9-]{1,63}$"},
                "subdomain": {"type": "string"},
                "path": {"type": "string", "pattern": "^/"},
                "to": {
                    "type": "object",
                    "required": ["kind", "name"],
                    "additionalProperties": False,
                    "properties": {
                        "kind": {"enum": ["Service", ""]},
                        "name": {"type": "string", "minLength": 1},
                        "weight": {"type": "integer", "minimum": 0, "maximum": 256},
                    },
                },
                "alternateBackends": {"type": "array", "maxItems": 3},
                "port": {
                    "type": "object",
                    "required": ["targetPort"],
                    "additionalProperties": False,
                    "properties": {"targetPort": {"type": ["string", "integer"]}},
                },
                "tls": {
                    "type": "object",
                    "required": ["termination"],
                    "properties": {
                        "termination": {"enum": ["edge", "reencrypt", "passthrough"]},
                        "insecureEdgeTerminationPolicy": {"enum": ["Allow", "Disable", "None", "Redirect", ""]},
                    },
                },
                "wildcardPolicy": {"enum": ["None", "Subdomain", ""]},
            },
        },
    },
}
"""A Route as the published API of `route.openshift.io/v1` describes it, as far as manifests are written by hand."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("droplet")
    environment = "# for s2i\nCOLOUR=blue\n\nEMPTY=\nURL=a=b\nPORT=99\n"
    return small_droplet(folder, {"Procfile": PROCFILE + "release: true\n", ".s2i/environment": environment})


def export(droplet: Path, out: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """Export, and read every manifest back by its path."""
    with open_droplet(str(droplet)) as opened:
        told = {"base": "scratch", "image": "reg.example/team/shop", **options}
        openshift.export(opened, str(out), openshift.OpenShiftOptions(**told))
    return {str(path.relative_to(out)): yaml.safe_load(path.read_text("utf-8")) for path in sorted(out.rglob("*.yaml"))}


def test_one_deployment_for_each_process_type(made: Path, tmp_path: Path) -> None:
    found = export(made, tmp_path / "out")
    assert sorted(found) == [
        "examples/job-release.yaml",
        *(f"kubernetes/{name}.yaml" for name in ("deployment-web", "deployment-worker", "ingress", "service")),
        *(f"openshift/{name}.yaml" for name in ("deployment-web", "deployment-worker", "route", "service")),
    ]
    for name in ("deployment-web", "deployment-worker", "service"):
        assert found[f"openshift/{name}.yaml"] == found[f"kubernetes/{name}.yaml"]
    args = {found[f"openshift/deployment-{kind}.yaml"]["metadata"]["name"]: kind for kind in ("web", "worker")}
    assert args == {"shop-web": "web", "shop-worker": "worker"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "shop.example.org", "probe_path": "/healthz", "cpu": "250m", "memory": "256Mi", "replicas": 3},
        {"writable_root": True, "secret": "shop-settings", "env": {"A": "b: c\n'\"é"}, "app": "other"},
    ],
)
def test_the_schemas_accept_every_manifest(made: Path, tmp_path: Path, options: dict[str, Any], version: str) -> None:
    for path, document in export(made, tmp_path / "out", **options).items():
        if document["kind"] == "Route":
            jsonschema.validate(document, ROUTE)
        else:
            kubernetes_validate.validate(document, version, strict=True)
        assert path.endswith(".yaml")


def test_the_schemas_can_refuse() -> None:
    broken = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": "many"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": {"name": "x"}}, ROUTE)


def containers(found: dict[str, dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for document in found.values():
        if document["kind"] in ("Deployment", "Job"):
            pod = document["spec"]["template"]["spec"]
            for container in pod["containers"]:
                yield pod, container


def test_every_container_keeps_to_the_restricted_rules(made: Path, tmp_path: Path) -> None:
    """restricted-v2 and the Pod Security Standards' `restricted`: what they demand is there, and no user is named."""
    seen = 0
    for pod, container in containers(export(made, tmp_path / "out")):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert context["runAsNonRoot"] is pod["securityContext"]["runAsNonRoot"] is True
        assert context["seccompProfile"] == pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        text = json.dumps(pod)
        assert not any(key in text for key in ("runAsUser", "runAsGroup", "fsGroup", "privileged", "host"))
        assert {tuple(volume) for volume in pod["volumes"]} == {("name", "emptyDir")} or pod["volumes"] == [
            {"name": "tmp", "emptyDir": {}}
        ]
        assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
        assert all(port["containerPort"] >= 1024 for port in container.get("ports", ()))
        assert pod["automountServiceAccountToken"] is False
        seen += 1
    assert seen == 5


def test_every_manifest_names_the_exported_image_by_digest(made: Path, tmp_path: Path) -> None:
    found = export(made, tmp_path / "out")
    (row,) = json.loads((tmp_path / "out" / "image" / "index.json").read_text())["manifests"]
    assert {c["image"] for _, c in containers(found)} == {f"reg.example/team/shop@{row['digest']}"}
    with open_droplet(str(made)) as droplet:
        wanted = tuple(str(layer.diff_id) for layer in droplet.layers)
        annotations = {
            "stager.droplet.digest": str(droplet.digest),
            "stager.plan.digest": droplet.launch.plan,
            "stager.stack": "debian-12",
        }
    assert load("openshift").layers(str(tmp_path / "out")) == wanted
    assert all(document["metadata"]["annotations"] == annotations for document in found.values())


def test_the_selectors_find_the_pods_and_the_routes_the_service(made: Path, tmp_path: Path) -> None:
    found = export(made, tmp_path / "out")
    web, service = found["openshift/deployment-web.yaml"], found["openshift/service.yaml"]
    labels = web["spec"]["template"]["metadata"]["labels"]
    assert web["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    worker = found["openshift/deployment-worker.yaml"]["spec"]["template"]["metadata"]["labels"]
    assert not service["spec"]["selector"].items() <= worker.items()
    assert found["openshift/route.yaml"]["spec"]["to"]["name"] == service["metadata"]["name"]
    path = found["kubernetes/ingress.yaml"]["spec"]["rules"][0]["http"]["paths"][0]
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": "http"}}
    port = service["spec"]["ports"][0]
    assert port["targetPort"] == web["spec"]["template"]["spec"]["containers"][0]["ports"][0]["name"]


def test_the_apps_s2i_environment_and_given_variables(made: Path, tmp_path: Path) -> None:
    found = export(made, tmp_path / "out", env={"COLOUR": "red", "NEW": "1"}, port=5000)
    web, worker = (
        found[f"openshift/deployment-{kind}.yaml"]["spec"]["template"]["spec"]["containers"][0]
        for kind in ("web", "worker")
    )
    rest = [("COLOUR", "red"), ("EMPTY", ""), ("NEW", "1"), ("URL", "a=b")]
    assert [(row["name"], row["value"]) for row in web["env"]] == [("PORT", "5000"), *rest]
    assert [(row["name"], row["value"]) for row in worker["env"]] == rest
    assert web["ports"][0]["containerPort"] == 5000
    assert "ports" not in worker
    assert not any(key.endswith("Probe") for key in worker)


def test_a_store_remembers_the_s2i_environment_of_a_layer(made: Path, tmp_path: Path) -> None:
    store, path = Store(str(tmp_path / "store")), tmp_path / "droplet.tgz"
    path.write_bytes(made.read_bytes())
    with open_droplet(str(path), store) as droplet:
        first = openshift.s2i_environment(droplet, store)
        os.truncate(path, 0)  # nothing can be read any more
        with pytest.raises(BadArchive):
            openshift.s2i_environment(droplet)
        assert openshift.s2i_environment(droplet, store) == first == {"COLOUR": "blue", "EMPTY": "", "URL": "a=b"}


def test_probes_ask_for_a_path_or_the_port(made: Path, tmp_path: Path) -> None:
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    found = export(made, tmp_path / "a")["openshift/deployment-web.yaml"]["spec"]["template"]["spec"]["containers"][0]
    assert all(found[probe]["tcpSocket"] == {"port": "http"} for probe in probes)
    options = {"probe_path": "/healthz"}
    found = export(made, tmp_path / "b", **options)["openshift/deployment-web.yaml"]["spec"]["template"]["spec"]
    assert all(found["containers"][0][probe]["httpGet"] == {"path": "/healthz", "port": "http"} for probe in probes)


def test_a_root_that_the_app_writes_to_has_no_volume(made: Path, tmp_path: Path) -> None:
    for pod, container in containers(export(made, tmp_path / "out", writable_root=True)):
        assert container["securityContext"]["readOnlyRootFilesystem"] is False
        assert "volumes" not in pod


def test_the_same_wishes_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    options = {"env": {"B": "2", "A": "1"}, "host": "x.example"}
    export(made, tmp_path / "a", **options)
    export(made, tmp_path / "b", **{**options, "env": {"A": "1", "B": "2"}})
    files = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in tmp_path.iterdir()]
    assert files[0] == files[1]
    text = (tmp_path / "a" / "openshift" / "deployment-web.yaml").read_text()
    assert "&" not in text
    assert "*" not in text


def test_without_web_there_is_nothing_to_reach(tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path, {"Procfile": "worker: sleep 600\n"})
    found = export(droplet, tmp_path / "out")
    assert {document["kind"] for document in found.values()} == {"Deployment"}


def test_names_that_kubernetes_cannot_tell_apart() -> None:
    assert component_names({"web": "", "Big_Job": ""}) == {"Big_Job": "big-job", "web": "web"}
    with pytest.raises(UsageError, match="cannot be told from another"):
        component_names({"a_b": "", "a-b": ""})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": ""}, "no repository is named"),
        ({"image": "reg.example/shop:1"}, "is no repository"),
        ({"image": "reg.example/shop@sha256:" + "0" * 64}, "is no repository"),
        ({"image": "reg.example/Shop"}, "is no repository"),
        ({"port": 80}, "port 80 cannot be used"),
        ({"port": 70000}, "port 70000 cannot be used"),
        ({"app": "Shop!"}, "is no app's name"),
        ({"app": "a" * 60}, "is no name"),
        ({"host": "not a host"}, "is no host"),
        ({"secret": "../x"}, "is no secret"),
        ({"cpu": "lots"}, "is no amount of CPU"),
        ({"memory": "1 GB"}, "is no amount of memory"),
        ({"probe_path": "healthz"}, "does not begin with /"),
        ({"env": {"A-B": "1"}}, "cannot be set"),
        ({"env": {"PORT": "80"}}, "cannot be set"),
    ],
)
def test_wishes_that_kubernetes_would_refuse(made: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        export(made, tmp_path / "out", **options)
    assert said in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_s2i_environment_names_its_line(tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path, {".s2i/environment": "A=1\nthis is no variable\n"})
    with pytest.raises(BadManifest) as caught:
        export(droplet, tmp_path / "out")
    assert caught.value.where == ".s2i/environment:2"


def test_something_else_in_the_place_is_left_alone(made: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    with pytest.raises(CannotWrite):
        export(made, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "mine").read_text() == "precious"


def test_an_older_export_is_replaced_whole_or_not_at_all(made: Path, tmp_path: Path) -> None:
    export(made, tmp_path / "out", host="old.example")
    with pytest.raises(StagerError):
        export(made, tmp_path / "out", image="x y")
    assert "old.example" in (tmp_path / "out/openshift/route.yaml").read_text()
    export(made, tmp_path / "out", host="new.example")
    assert "new.example" in (tmp_path / "out/openshift/route.yaml").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command(made: Path, tmp_path: Path) -> None:
    command = ("export", "openshift", made, "--base", "scratch", "--image", "reg.example/shop", "-o", tmp_path / "out")
    done = in_process(*command, "--env", "A=1", "--json", store=tmp_path / "store").good().document
    assert done["target"] == "openshift"
    (row,) = json.loads((tmp_path / "out" / "image" / "index.json").read_text())["manifests"]
    assert done["digest"] == row["digest"]
    again = in_process(*command, store=tmp_path / "store").good()
    assert again.out.strip() == row["digest"]
    assert "oc apply -f" in again.err
    bare = in_process("export", "openshift", made, "-o", tmp_path / "no", store=tmp_path / "store")
    assert (bare.code, "no repository is named" in bare.err) == (2, True)


# --- s2i -------------------------------------------------------------------------------------------------------


def builder(tmp_path: Path) -> Path:
    out = tmp_path / "builder"
    in_process("export", "openshift", "--s2i-builder", out, "--stack", "debian-12", store=tmp_path / "store").good()
    return out


def test_the_builder_has_the_scripts_that_s2i_calls(tmp_path: Path) -> None:
    out = builder(tmp_path)
    scripts = sorted((out / "s2i" / "bin").iterdir())
    assert [path.name for path in scripts] == ["assemble", "run", "save-artifacts", "usage"]
    for path in scripts:
        assert path.stat().st_mode & 0o111
        subprocess.run(["sh", "-n", path], check=True)
    said = subprocess.run([out / "s2i/bin/usage"], capture_output=True, text=True, check=True).stdout
    assert "s2i build SOURCE stager-debian-12 APP" in said
    dockerfile = (out / "Dockerfile").read_text()
    assert 'io.openshift.s2i.scripts-url="image:///usr/libexec/s2i"' in dockerfile
    assert f"stager=={library.__version__}" in dockerfile
    assert "USER 2000" in dockerfile.splitlines()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    builder(tmp_path)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    unknown = in_process("export", "openshift", "--s2i-builder", out, "--stack", "none", store=tmp_path / "store")
    assert unknown.code == 2


def wrapper(folder: Path) -> None:
    """A `stager` on the PATH, as the builder's Dockerfile installs one."""
    folder.mkdir()
    (folder / "stager").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stager "$@"\n')
    (folder / "stager").chmod(0o755)


def test_the_scripts_make_the_droplets_files_and_save_the_store(tmp_path: Path) -> None:
    """The scripts themselves, as s2i calls them: source below the destination, artifacts saved and brought back."""
    out, source = builder(tmp_path), materialise("procfile-perl", tmp_path / "in")
    wrapper(tmp_path / "bin")
    droplet = tmp_path / "droplet.tgz"
    in_process("stage", source, "-o", droplet, store=tmp_path / "store").good()
    with open_droplet(str(droplet)) as opened:
        wanted = {entry.name: entry.sha256 for entry in opened.entries() if entry.kind == "file"}
    saved = b""
    for number in range(2):
        work = tmp_path / f"work{number}"
        (work / "root").mkdir(parents=True)
        (work / "dest" / "artifacts").mkdir(parents=True)
        shutil.copytree(source, work / "dest" / "src")
        if saved:
            with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
                unpack(archive, work / "dest" / "artifacts")
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "S2I_DESTINATION": f"{work}/dest",
            "S2I_ROOT": f"{work}/root",
            "STAGER_CACHE_DIR": f"{work}/store",
            "STAGER_STACK": "debian-12",
            "STAGER_OPTIONS": "--offline",
        }
        subprocess.run([out / "s2i/bin/assemble"], env=environment, check=True, capture_output=True, timeout=120)
        made = {f"./{p.relative_to(work / 'root')}": p for p in (work / "root").rglob("*") if p.is_file()}
        assert {name: digest(path.read_bytes())[7:] for name, path in made.items()} == {
            name: value for name, value in wanted.items() if name.startswith("./app/")
        }
        assert (work / "root" / "app").stat().st_mode & 0o777 == 0o775
        done = subprocess.run([out / "s2i/bin/save-artifacts"], env=environment, check=True, capture_output=True)
        saved = done.stdout
        with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
            assert any("/blobs/sha256/" in name for name in archive.getnames())


@pytest.mark.tools
def test_what_the_scripts_assembled_serves(tmp_path: Path) -> None:
    """`run` on what `assemble` left; under OpenShift's rules the same files run in the tests of images."""
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    out = builder(tmp_path)
    wrapper(tmp_path / "bin")
    materialise("procfile-perl", tmp_path / "dest").rename(tmp_path / "dest" / "src")
    (tmp_path / "root").mkdir()
    port = free_port()
    environment = {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PORT": str(port),
        "S2I_DESTINATION": str(tmp_path / "dest"),
        "S2I_ROOT": str(tmp_path / "root"),
        "STAGER_CACHE_DIR": str(tmp_path / "own"),
        "STAGER_STACK": "debian-12",
    }
    subprocess.run([out / "s2i/bin/assemble"], env=environment, check=True, capture_output=True, timeout=120)
    process = subprocess.Popen([out / "s2i/bin/run"], env=environment, start_new_session=True)
    try:
        expected = expectation("procfile-perl")["http"]
        code, body = ask(port, expected["path"], process)
        assert (code, expected["body"] in body) == (200, True)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
