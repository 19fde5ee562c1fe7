"""Somebody changes evidence: at each of many places it is found, and the error says what was found."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from command import in_process
from evidence_apps import SITUATIONS, Staged, stage

from stager.digest import canonical_json
from stager.droplet.reader import open_droplet
from stager.errors import UsageError
from stager.evidence import attesting, receipt
from stager.evidence.errors import BadEvidence, NotAttested
from stager.evidence.provenance import dsse, keys, statement

Value = dict[str, Any]


@dataclass
class World:
    """A droplet, its receipt, keys of people who are trusted, and one of somebody who is not."""

    made: Staged
    receipt: bytes
    people: list[keys.PrivateKey]
    stranger: keys.PrivateKey

    @property
    def trusted(self) -> list[keys.PublicKey]:
        return [key.public for key in self.people]

    def attested(self, *who: int, builder: str = "urn:x:ci") -> bytes:
        """The attestation that the trusted people of these numbers signed together."""
        with open_droplet(str(self.made.path)) as droplet:
            return attesting.attest(droplet, [self.people[n] for n in who], builder).dumps()

    def check(self, *files: bytes, k: int = 1, plan: str = "", source: str = "") -> attesting.Agreement:
        rows = [(f"{n}.json", data) for n, data in enumerate(files)]
        return attesting.check(self.made.digest, rows, self.trusted, k, plan=plan, source=source)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    place = tmp_path_factory.mktemp("tampering")
    made = stage(SITUATIONS["Python and Node"](), place)
    people = []
    for name in ("ada", "ben", "cleo", "eve"):
        keys.make(str(place / name))
        people.append(keys.read_private(str(place / name)))
    with open_droplet(str(made.path)) as droplet:
        return World(made, receipt.dumps(receipt.make(droplet)), people[:3], people[3])


def test_untouched_evidence_is_accepted(world: World) -> None:
    found = world.check(world.attested(0), world.attested(1), k=2)
    assert [one.key for one in found.signers] == sorted(key.id for key in world.trusted[:2])
    assert found.rejected == ()
    assert (found.digest, found.plan) == (world.made.digest, json.loads(world.receipt)["plan"])
    with open_droplet(str(world.made.path)) as droplet:
        assert receipt.check(world.receipt, droplet, "r.json") == json.loads(world.receipt)


# --- an envelope, after it was signed --------------------------------------------------------------------------


def edited(change: Callable[[Value], object]) -> Callable[[World], bytes]:
    """Ada's attestation with its envelope changed."""

    def make(world: World) -> bytes:
        value = json.loads(world.attested(0))
        change(value)
        return canonical_json(value)

    return make


def claimed(change: Callable[[Value], object]) -> Callable[[World], bytes]:
    """Ada's attestation with her statement changed under her signature."""

    def change_payload(value: Value) -> None:
        told = json.loads(base64.b64decode(value["payload"]))
        change(told)
        value["payload"] = base64.b64encode(canonical_json(told)).decode()

    return edited(change_payload)


def flip(text: str) -> str:
    """Base64 with one bit of its bytes changed."""
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return base64.b64encode(data).decode()


def definition(told: Value) -> Value:
    found: Value = told["predicate"]["buildDefinition"]
    return found


def details(told: Value) -> Value:
    found: Value = told["predicate"]["runDetails"]
    return found


def wrong(row: Value) -> None:
    """Change one digest."""
    for algorithm, value in row["digest"].items():
        row["digest"][algorithm] = ("0" if value[0] != "0" else "1") + value[1:]


def signature(value: Value) -> Value:
    found: Value = value["signatures"][0]
    return found


MISFIT = "does not fit what it stands under"
STRANGER = "which is not trusted"
SIGNED: dict[str, tuple[Callable[[World], bytes], str]] = {
    "a byte of the payload": (edited(lambda v: v.update(payload=flip(v["payload"]))), MISFIT),
    "the payload's type": (edited(lambda v: v.update(payloadType="application/json")), MISFIT),
    "an empty payload": (edited(lambda v: v.update(payload="")), MISFIT),
    "a byte of the signature": (edited(lambda v: signature(v).update(sig=flip(signature(v)["sig"]))), MISFIT),
    "a signature cut short": (edited(lambda v: signature(v).update(sig=signature(v)["sig"][:-4])), MISFIT),
    "an empty signature": (edited(lambda v: signature(v).update(sig="")), MISFIT),
    "the key's id": (edited(lambda v: signature(v).update(keyid="sha256:" + "0" * 64)), STRANGER),
    "the signature without its key's id, of another payload": (
        edited(lambda v: (signature(v).update(keyid=""), v.update(payload=flip(v["payload"])))),
        STRANGER,
    ),
    "the droplet's digest": (claimed(lambda t: wrong(t["subject"][0])), MISFIT),
    "the droplet's name": (claimed(lambda t: t["subject"][0].update(name="other.tgz")), MISFIT),
    "one more subject": (claimed(lambda t: t["subject"].append(dict(t["subject"][0]))), MISFIT),
    "the source": (claimed(lambda t: wrong(definition(t)["resolvedDependencies"][0])), MISFIT),
    "the plan": (claimed(lambda t: wrong(definition(t)["resolvedDependencies"][1])), MISFIT),
    "a buildpack": (claimed(lambda t: wrong(definition(t)["resolvedDependencies"][2])), MISFIT),
    "the stack": (claimed(lambda t: wrong(definition(t)["resolvedDependencies"][3])), MISFIT),
    "a Python package": (claimed(lambda t: wrong(definition(t)["resolvedDependencies"][-1])), MISFIT),
    "an npm package": (claimed(lambda t: wrong(definition(t)["resolvedDependencies"][-2])), MISFIT),
    "an artifact left out": (claimed(lambda t: definition(t)["resolvedDependencies"].pop()), MISFIT),
    "the parameters": (claimed(lambda t: definition(t)["externalParameters"].update(stack="x")), MISFIT),
    "the codec": (claimed(lambda t: definition(t)["internalParameters"].update(codec="x")), MISFIT),
    "the build type": (claimed(lambda t: definition(t).update(buildType="urn:x")), MISFIT),
    "the builder": (claimed(lambda t: details(t)["builder"].update(id="urn:x:other")), MISFIT),
    "stager's version": (claimed(lambda t: details(t)["builder"]["version"].update(stager="9")), MISFIT),
    "stager's code": (claimed(lambda t: wrong(details(t)["builder"]["builderDependencies"][0])), MISFIT),
    "the receipt": (claimed(lambda t: wrong(details(t)["byproducts"][0])), MISFIT),
    "a layer": (claimed(lambda t: wrong(details(t)["byproducts"][1])), MISFIT),
    "an envelope cut short": (lambda world: world.attested(0)[:-20], "is not valid JSON"),
    "an envelope of nothing": (lambda _: b"", "is not valid JSON"),
    "no signature left": (edited(lambda v: v.update(signatures=[])), "has 0 signatures"),
    "another's signature under one's own name": (
        lambda world: canonical_json(
            json.loads(world.attested(0)) | {"signatures": [
                {"keyid": world.trusted[0].id, "sig": signature(json.loads(world.attested(1, builder="urn:x:ci2")))["sig"]}
            ]}
        ),
        MISFIT,
    ),
    "signed by a stranger": (
        lambda world: dsse.sign(statement.dumps(world.receipt, "d"), [world.stranger]).dumps(),
        STRANGER,
    ),
    "a stranger under a trusted name": (
        lambda world: dsse.sign(statement.dumps(world.receipt, "d"), [world.stranger]).dumps().replace(
            world.stranger.public.id.encode(), world.trusted[0].id.encode()
        ),
        MISFIT,
    ),
}  # fmt: skip
"""What is changed, by whom → the reason that the check gives."""


@pytest.mark.parametrize("name", SIGNED)
def test_a_changed_attestation_does_not_count(name: str, world: World) -> None:
    make, why = SIGNED[name]
    data = make(world)
    assert data != world.attested(0)
    with pytest.raises(NotAttested) as caught:
        world.check(data)
    assert caught.value.data["found"] == 0
    rejected = cast("list[list[str]]", caught.value.data["rejected"])
    ((file, reason),) = rejected
    assert (file, caught.value.exit_code) == ("0.json", 50)
    assert why in reason
    good = world.check(data, world.attested(1))
    assert [one.key for one in good.signers] == [world.trusted[1].id]
    assert [row[0] for row in good.rejected] == ["0.json"]


# --- a statement that a trusted key did sign, but of something else ----------------------------------------------


def signed(
    change: Callable[[Value], object], facts: Callable[[Value], object] = lambda _: None
) -> Callable[[World], bytes]:
    """Ada signs a changed statement, made from a changed receipt."""

    def make(world: World) -> bytes:
        told = json.loads(world.receipt)
        facts(told)
        value = json.loads(statement.dumps(canonical_json(told), "droplet.tgz"))
        change(value)
        return dsse.sign(canonical_json(value), [world.people[0]]).dumps()

    return make


def same(_: Value) -> None:
    """Change nothing."""


OTHER = "sha256:" + "7" * 64
OTHERWISE: dict[str, tuple[Callable[[World], bytes], str]] = {
    "another droplet": (
        signed(same, lambda f: f["droplet"].update(digest=OTHER)),
        f"has the droplet {OTHER}, not sha256:",
    ),
    "another predicate": (signed(lambda t: t.update(predicateType="https://x/y")), "predicateType: is 'https://x/y'"),
    "another kind of build": (signed(lambda t: definition(t).update(buildType="urn:x")), "buildType: is 'urn:x'"),
    "parameters that are not its inputs": (
        signed(lambda t: definition(t)["externalParameters"].update(source=OTHER)),
        "externalParameters.source: is",
    ),
    "a plan that is not its input": (
        signed(lambda t: definition(t)["externalParameters"].update(plan=OTHER)),
        "externalParameters.plan: is",
    ),
    "no source": (signed(lambda t: definition(t)["resolvedDependencies"].pop(0)), "names no source"),
    "no receipt": (signed(lambda t: details(t)["byproducts"].pop(0)), "names no receipt"),
    "no subject": (signed(lambda t: t.update(subject=[])), "has no subject"),
    "another payload": (
        lambda world: dsse.sign(statement.dumps(world.receipt, "d"), [world.people[0]], "text/plain").dumps(),
        "holds 'text/plain', not an in-toto statement",
    ),
    "no statement": (lambda world: dsse.sign(b"hello", [world.people[0]]).dumps(), "is not valid JSON"),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_a_trusted_key_signed_must_be_this_droplet(name: str, world: World) -> None:
    make, why = OTHERWISE[name]
    with pytest.raises(NotAttested) as caught:
        world.check(make(world))
    assert why in caught.value.message


@pytest.mark.parametrize("wanted", ["plan", "source"])
def test_the_plan_and_the_source_may_be_demanded(wanted: str, world: World) -> None:
    facts = json.loads(world.receipt)
    right = facts["plan"] if wanted == "plan" else facts["source"]["digest"]
    plan, source = (right, "") if wanted == "plan" else ("", right)
    assert world.check(world.attested(0), plan=plan, source=source).signers
    with pytest.raises(NotAttested) as caught:
        world.check(world.attested(0), plan=plan and OTHER, source=source and OTHER)
    assert f"its signer has the {wanted} {right}, not {OTHER}" in caught.value.message


# --- k of n ----------------------------------------------------------------------------------------------------


def test_a_signer_counts_once_however_often(world: World) -> None:
    for files in (
        (world.attested(0), world.attested(0)),
        (world.attested(0), world.attested(0, builder="urn:x:elsewhere")),
        (doubled(world),),
    ):
        with pytest.raises(NotAttested) as caught:
            world.check(*files, k=2)
        assert (caught.value.data["found"], caught.value.data["wanted"]) == (1, 2)


def doubled(world: World) -> bytes:
    """An envelope that holds one signature twice."""
    value = json.loads(world.attested(0))
    value["signatures"] *= 2
    return canonical_json(value)


def test_one_less_than_wanted_is_too_few(world: World) -> None:
    with pytest.raises(NotAttested) as caught:
        world.check(world.attested(0), world.attested(2), k=3)
    assert caught.value.message == f"{world.made.digest}: 2 of 3 wanted signers agree"
    assert len(world.check(world.attested(0, 1, 2), k=3).signers) == 3
    assert len(world.check(world.attested(0, 1), world.attested(2), k=3).signers) == 3


def test_a_trusted_key_under_two_names_is_one_key(world: World) -> None:
    with pytest.raises(UsageError) as caught:
        attesting.check(world.made.digest, [("a", world.attested(0))], [world.trusted[0]] * 2, 2)
    assert caught.value.message == "2 signers are demanded, and 1 keys are trusted"
    with pytest.raises(UsageError):
        world.check(world.attested(0), k=0)


def test_who_names_another_source_does_not_agree(world: World) -> None:
    other = signed(same, lambda facts: facts["source"].update(digest=OTHER))(world)
    found = world.check(other, world.attested(1), world.attested(2), k=2)
    assert {one.key for one in found.signers} == {key.id for key in world.trusted[1:]}
    assert found.rejected[0][0] == "0.json"
    assert found.rejected[0][1].startswith(f"says that it comes from source {OTHER}")
    with pytest.raises(NotAttested) as caught:
        world.check(other, world.attested(1), k=2)
    assert caught.value.data["found"] == 1


def test_one_liar_does_not_spoil_the_others(world: World) -> None:
    lie = signed(same, lambda facts: facts["droplet"].update(digest=OTHER))(world)
    found = world.check(lie, b"garbage", world.attested(1), world.attested(2), k=2)
    assert len(found.signers) == 2
    assert [row[0] for row in found.rejected] == ["0.json", "1.json"]


# --- a receipt -------------------------------------------------------------------------------------------------

RECEIPT: dict[str, tuple[Callable[[Value], object], str]] = {
    "droplet.digest": (lambda r: r["droplet"].update(digest=OTHER), "droplet.digest"),
    "droplet.size": (lambda r: r["droplet"].update(size=1), "droplet.size"),
    "a layer's digest": (lambda r: r["droplet"]["layers"][0].update(digest=OTHER), "droplet.layers[0].digest"),
    "a layer's diffID": (lambda r: r["droplet"]["layers"][1].update(diff_id=OTHER), "droplet.layers[1].diff_id"),
    "a layer left out": (lambda r: r["droplet"]["layers"].pop(), "droplet.layers"),
    "plan": (lambda r: r.update(plan=OTHER), "plan"),
    "codec": (lambda r: r.update(codec="gzip"), "codec"),
    "stack": (lambda r: r["stack"].update(name="debian-13"), "stack.name"),
    "the stack's definition": (lambda r: r["stack"].update(definition=OTHER), "stack.definition"),
    "source": (lambda r: r["source"].update(digest=OTHER), "source.digest"),
    "a source file's digest": (lambda r: r["source"]["files"].update(serve=OTHER), "source.files.serve"),
    "a source file more": (lambda r: r["source"]["files"].update(x=OTHER), "source.files.x"),
    "a source file less": (lambda r: r["source"]["files"].pop("serve"), "source.files.serve"),
    "what is executable": (lambda r: r["source"]["executable"].append("serve"), "source.executable"),
    "a link": (lambda r: r["source"]["links"].update(x="y"), "source.links.x"),
    "an input": (lambda r: r["inputs"].update(Procfile=OTHER), "inputs.Procfile"),
    "a buildpack": (lambda r: r["buildpacks"][0].update(digest=OTHER), "buildpacks[0].digest"),
    "an artifact's digest": (lambda r: r["artifacts"][0].update(digest=OTHER), "artifacts[0].digest"),
    "an artifact's address": (lambda r: r["artifacts"][0].update(url="https://x"), "artifacts[0].url"),
    "an artifact left out": (lambda r: r["artifacts"].pop(), "artifacts"),
    "stager's code": (lambda r: r["stager"].update(code=OTHER), "stager.code"),
    "stager as a word": (lambda r: r.update(stager="1"), "stager"),
    "a number as a word": (lambda r: r["droplet"].update(size=str(r["droplet"]["size"])), "droplet.size"),
    "a member more": (lambda r: r.update(note="trust me"), "note"),
    "a member less": (lambda r: r.pop("codec"), "codec"),
}


@pytest.mark.parametrize("name", RECEIPT)
def test_a_changed_receipt_is_found(name: str, world: World) -> None:
    change, where = RECEIPT[name]
    value = json.loads(world.receipt)
    change(value)
    with open_droplet(str(world.made.path)) as droplet, pytest.raises(BadEvidence) as caught:
        receipt.check(canonical_json(value), droplet, "r.json")
    assert caught.value.message == f"{where} is not what the droplet says"
    assert (caught.value.where, caught.value.exit_code) == ("r.json", 50)


def test_a_receipt_of_another_droplet_is_found(world: World, tmp_path: Path) -> None:
    other = stage(SITUATIONS["two wheels"](), tmp_path)
    done = in_process(
        "receipt", other.path, "--check", write(tmp_path / "r.json", world.receipt), "--json", store=tmp_path / "s"
    )
    assert (done.code, done.document["error"]["code"]) == (50, "BadEvidence")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"receipt":2}', b'{"receipt":true}', b"\xff", b'{"receipt":1}'])
def test_what_is_no_receipt_is_refused(data: bytes, world: World) -> None:
    with open_droplet(str(world.made.path)) as droplet, pytest.raises(BadEvidence):
        receipt.check(data, droplet, "r.json")


def test_another_stagers_receipt_of_the_same_droplet_is_fine(world: World) -> None:
    value = json.loads(world.receipt)
    value["stager"].update(version="99.0", code=OTHER)
    value["stack"]["definition"] = OTHER
    with open_droplet(str(world.made.path)) as droplet:
        assert receipt.check(canonical_json(value), droplet, "r.json")["stager"]["version"] == "99.0"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# --- the command line ------------------------------------------------------------------------------------------


def test_verify_wants_agreeing_signatures(world: World, tmp_path: Path) -> None:
    trusted = [
        option
        for n, key in enumerate(world.trusted)
        for option in ("--trusted-key", write(tmp_path / f"{n}.pub", key.pem))
    ]
    files = [write(tmp_path / f"{n}.json", world.attested(n)) for n in range(2)]
    given = [option for path in files for option in ("--attestation", path)]
    store = Path(world.made.store.root)
    base = ("verify", world.made.path, *given, *trusted, "--json", "--k-of-n")
    good = in_process(*base, 2, store=store).good().document
    assert [row["key"] for row in good["signers"]] == sorted(key.id for key in world.trusted[:2])
    few = in_process(*base, 3, store=store)
    assert (few.code, few.document["error"]["code"]) == (50, "NotAttested")
