"""Receipts, statements, envelopes and keys: canonical, read by other libraries, refused when malformed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from command import in_process
from evidence_apps import SITUATIONS, Staged, settings, stage

from stager.digest import Digest
from stager.droplet.reader import open_droplet
from stager.errors import CannotWrite, LockStale, NotReproducible, StagerError, Unreadable, UsageError
from stager.evidence import attesting, receipt
from stager.evidence.errors import BadEvidence
from stager.evidence.provenance import dsse, keyless, keys, statement
from stager.store import Store
from stager.tree import SourceTree


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return stage(SITUATIONS["Debian packages"](), tmp_path_factory.mktemp("provenance"))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> keys.PrivateKey:
    path = tmp_path_factory.mktemp("key") / "key"
    keys.make(str(path))
    return keys.read_private(str(path))


def receipt_of(made: Staged) -> bytes:
    with open_droplet(str(made.path)) as droplet:
        return receipt.dumps(receipt.make(droplet))


def envelope_of(made: Staged, key: keys.PrivateKey, **options: Any) -> bytes:
    with open_droplet(str(made.path)) as droplet:
        return attesting.attest(droplet, [key], **options).dumps()


# --- receipt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_receipt_names_every_input(name: str, tmp_path: Path) -> None:
    made = stage(SITUATIONS[name](), tmp_path)
    with open_droplet(str(made.path)) as droplet:
        found = receipt.make(droplet)
        tree = SourceTree.read(str(made.app))
        assert found["source"]["digest"] == tree.digest == receipt.source(droplet).digest
        assert found["source"]["files"] == {path: file.digest for path, file in tree.files.items()}
        assert found["source"]["links"] == tree.links
        assert (
            found["droplet"]["digest"] == made.digest == "sha256:" + hashlib.sha256(made.path.read_bytes()).hexdigest()
        )
        assert [row["name"] for row in found["droplet"]["layers"]] == [layer.name for layer in droplet.layers]
    assert {row["digest"] for row in found["artifacts"]} == {str(one.digest) for one in made.plan.artifacts}
    assert found["plan"] == Digest("sha256:" + hashlib.sha256((made.app / "stager.lock").read_bytes()).hexdigest())
    assert found["inputs"] == {path: str(digest) for path, digest in made.plan.inputs}
    assert receipt.check(receipt.dumps(found), open_droplet(str(made.path)), "r.json") == json.loads(
        receipt.dumps(found)
    )


def test_another_process_writes_the_same_receipt(staged: Staged) -> None:
    code = (
        "import sys\nfrom stager.evidence import receipt\nfrom stager.droplet.reader import open_droplet\n"
        "with open_droplet(sys.argv[1]) as droplet:\n    sys.stdout.buffer.write(receipt.dumps(receipt.make(droplet)))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "99", "TZ": "Asia/Kathmandu"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(staged.path)], env=environment, capture_output=True, check=True
    )
    assert done.stdout == receipt_of(staged)


def test_the_code_digest_covers_every_module_and_nothing_else() -> None:
    import stager as package

    root = Path(package.__file__).parent
    rows = []
    for path in root.rglob("*.py"):
        name = path.relative_to(root).as_posix()
        if not any(part.startswith((".", "__")) for part in name.split("/")[:-1]) and "_data/" not in name:
            rows.append([name, "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()])
    text = json.dumps(sorted(rows), separators=(",", ":"), ensure_ascii=False) + "\n"
    assert receipt.code_digest() == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


# --- statement -------------------------------------------------------------------------------------------------


def test_the_statement_is_in_toto_with_slsa_provenance(staged: Staged) -> None:
    data = receipt_of(staged)
    value = json.loads(statement.dumps(data, "droplet.tgz", "urn:x:ci"))
    assert (value["_type"], value["predicateType"]) == (statement.TYPE, statement.PREDICATE)
    assert value["subject"] == [{"name": "droplet.tgz", "digest": {"sha256": staged.digest.removeprefix("sha256:")}}]
    definition, details = value["predicate"]["buildDefinition"], value["predicate"]["runDetails"]
    assert set(definition) == {"buildType", "externalParameters", "internalParameters", "resolvedDependencies"}
    listed = [row["digest"] for row in definition["resolvedDependencies"]]
    for artifact in staged.plan.artifacts:
        assert {artifact.digest.algorithm: artifact.digest.hex} in listed
    assert details["builder"]["id"] == "urn:x:ci"
    assert details["byproducts"][0]["digest"] == {"sha256": hashlib.sha256(data).hexdigest()}
    assert "startedOn" not in json.dumps(value)
    claim = statement.read(statement.dumps(data, "droplet.tgz", "urn:x:ci"), "s.json")
    assert (claim.digest, claim.builder) == (staged.digest, "urn:x:ci")


def test_an_artifact_cannot_take_the_plans_place(staged: Staged) -> None:
    facts = json.loads(receipt_of(staged))
    facts["artifacts"][0]["file"] = "stager.lock"
    claim = statement.read(statement.dumps(receipt.dumps(facts), "d", "urn:x"), "s.json")
    assert claim.plan == facts["plan"]


# --- envelope --------------------------------------------------------------------------------------------------


def test_the_pre_authentication_encoding_is_that_of_the_specification() -> None:
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert dsse.pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_signing_twice_gives_the_same_bytes(staged: Staged, key: keys.PrivateKey) -> None:
    assert envelope_of(staged, key) == envelope_of(staged, key)


def test_another_library_verifies_our_envelopes(staged: Staged, key: keys.PrivateKey) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer._key import SSlibKey

    public = SSlibKey.from_crypto(load_pem_public_key(key.public.pem), keyid=key.public.id)
    their = Envelope.from_dict(json.loads(envelope_of(staged, key)))
    assert set(their.verify([public], 1)) == {key.public.id}
    data = json.loads(envelope_of(staged, key))
    data["payload"] = base64.b64encode(b"{}").decode()
    with pytest.raises(VerificationError):
        Envelope.from_dict(data).verify([public], 1)


def test_we_verify_another_librarys_envelopes(key: keys.PrivateKey, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer._crypto_signer import CryptoSigner

    signer = CryptoSigner.generate_ed25519()
    theirs = Envelope(b'{"a":1}', dsse.IN_TOTO, {})
    theirs.sign(signer)
    data = json.dumps(theirs.to_dict()).encode()
    theirs_public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer.public_key.keyval["public"]))
    (tmp_path / "theirs.pub").write_bytes(theirs_public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    public = keys.read_public(str(tmp_path / "theirs.pub"))
    row = json.loads(data)
    row["signatures"][0]["keyid"] = ""  # their id is made otherwise; without one every trusted key is tried
    assert dsse.verify(dsse.loads(json.dumps(row).encode(), "x"), [key.public, public], "x") == (public,)


def with_signatures(rows: str) -> bytes:
    return b'{"payload":"","payloadType":"x","signatures":%s}' % rows.encode()


GARBAGE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
    "no text": (b"\x00\xff", "is not valid JSON: 'utf-8' codec can't decode byte 0xff in position 1"),
    "a list": (b"[]", "is not a JSON object"),
    "nested without end": (b"[" * 100_000, "is not valid JSON: nested too deeply"),
    "a member twice": (b'{"payload":"","payload":""}', "is not valid JSON: a member is there twice"),
    "not a number": (b'{"payload":NaN}', "is not valid JSON: NaN is no JSON"),
    "no signatures": (b'{"payload":"","payloadType":"x"}', "document: has no 'signatures'"),
    "an empty list": (with_signatures("[]"), "signatures: has 0 signatures; 1 to 100 are read"),
    "signatures of another kind": (with_signatures('{"a":1}'), "signatures: expected an array, found dict"),
    "a signature of another kind": (with_signatures("[7]"), "signatures[0]: expected a table, found int"),
    "no sig": (with_signatures("[{}]"), "signatures[0]: has no 'sig'"),
    "no base64": (with_signatures('[{"sig":"*"}]'), "signatures[0].sig: is not base64"),
    "base64 with more": (with_signatures('[{"sig":"QUJD\\nQUJD"}]'), "signatures[0].sig: is not base64"),
    "no payload": (b'{"payloadType":"x","signatures":[{"sig":"QUJD"}]}', "document: has no 'payload'"),
    "a number as type": (
        b'{"payload":"","payloadType":1,"signatures":[{"sig":"QUJD"}]}',
        "payloadType: expected a string, found int",
    ),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_a_typed_error(name: str) -> None:
    data, why = GARBAGE[name]
    with pytest.raises(BadEvidence) as caught:
        dsse.loads(data, "a.json")
    assert caught.value.message.startswith(why)
    assert (caught.value.where, caught.value.exit_code) == ("a.json", 50)


def test_members_that_nobody_knows_are_ignored(key: keys.PrivateKey) -> None:
    value = json.loads(dsse.sign(b"x", [key]).dumps())
    value["extra"] = value["signatures"][0]["cert"] = 1
    assert dsse.loads(json.dumps(value).encode(), "x").payload == b"x"


STATEMENTS: dict[str, tuple[Any, str]] = {
    "another type": (("_type", "x"), "_type: is 'x', not 'https://in-toto.io/Statement/v1'"),
    "another predicate": (("predicateType", "x"), "predicateType: is 'x', not 'https://slsa.dev/provenance/v1'"),
    "no subject": (("subject", []), "document: has no subject"),
    "a subject without SHA-256": (("subject", [{"digest": {"sha1": "x"}}]), "subject[0].digest: has no 'sha256'"),
    "a subject with half a digest": (
        ("subject", [{"digest": {"sha256": "ab"}}]),
        "subject[0].digest.sha256: 'ab' is not a SHA-256",
    ),
    "no predicate": (("predicate", 1), "predicate: expected a table, found int"),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_that_is_none_is_a_typed_error(name: str, staged: Staged) -> None:
    (member, value), why = STATEMENTS[name]
    facts = json.loads(statement.dumps(receipt_of(staged), "d"))
    facts[member] = value
    with pytest.raises(BadEvidence) as caught:
        statement.read(json.dumps(facts).encode(), "s.json")
    assert caught.value.message == why


# --- keys ------------------------------------------------------------------------------------------------------


def test_a_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    os.umask(os.umask(0))  # whatever it is, the mode is the same
    public = keys.make(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.read_private(str(path)).public == keys.read_public(f"{path}.pub") == public
    assert public.id.startswith("sha256:")
    assert b"PRIVATE" not in (tmp_path / "key.pub").read_bytes()
    assert "PRIVATE" not in repr(keys.read_private(str(path)))


def test_making_a_key_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("mine")
    with pytest.raises(CannotWrite):
        keys.make(str(tmp_path / "key"))
    assert (tmp_path / "key").read_text() == "mine"
    (tmp_path / "other.pub").write_text("mine")
    with pytest.raises(CannotWrite):
        keys.make(str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def pem(kind: str, *, password: bytes = b"") -> bytes:
    """A private key of another kind, or one with a passphrase."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else ed25519.Ed25519PrivateKey.generate()
    cipher = s.BestAvailableEncryption(password) if password else s.NoEncryption()
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, cipher)


@pytest.mark.parametrize(
    ("data", "mode", "why"),
    [
        (b"", 0o600, "is not a key in a PEM file"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600, "is not a key in a PEM file"),
        (b"ed25519", 0o640, "others may read this private key: its mode is 0640"),
        (b"ed25519", 0o604, "others may read this private key: its mode is 0604"),
        (b"ec", 0o600, "is not an Ed25519 private key"),
        (b"locked", 0o600, "is protected by a passphrase"),
    ],
)
def test_what_is_no_private_key_is_refused(data: bytes, mode: int, why: str, tmp_path: Path) -> None:
    made = {b"ed25519": pem("ed25519"), b"ec": pem("ec"), b"locked": pem("ed25519", password=b"x")}
    path = tmp_path / "key"
    path.write_bytes(made.get(data, data))
    path.chmod(mode)
    with pytest.raises(BadEvidence) as caught:
        keys.read_private(str(path))
    assert caught.value.message == why


def test_a_private_key_is_no_public_one(tmp_path: Path) -> None:
    keys.make(str(tmp_path / "key"))
    with pytest.raises(BadEvidence) as caught:
        keys.read_public(str(tmp_path / "key"))
    assert caught.value.message == "is a private key"
    with pytest.raises(Unreadable):
        keys.read_public(str(tmp_path / "none"))
    (tmp_path / "x").write_text("x")
    with pytest.raises(BadEvidence):
        keys.read_public(str(tmp_path / "x"))


# --- attesting -------------------------------------------------------------------------------------------------


def test_nothing_is_signed_that_was_not_built(tmp_path: Path) -> None:
    made = stage(SITUATIONS["two wheels"](), tmp_path)
    with open_droplet(str(made.path)) as droplet:
        assert attesting.rebuild(droplet, str(made.app), made.settings()) == made.digest
        (made.app / "serve").write_text("#!/bin/sh\nexec evil\n")
        with pytest.raises(NotReproducible) as caught:
            attesting.rebuild(droplet, str(made.app), made.settings())
        assert caught.value.exit_code == 80
        (made.app / "Procfile").write_text("web: other\n")
        with pytest.raises(LockStale):
            attesting.rebuild(droplet, str(made.app), made.settings())


def test_a_rebuild_needs_only_the_plans_artifacts(tmp_path: Path) -> None:
    made = stage(SITUATIONS["Python and Node"](), tmp_path)
    store = Store(str(tmp_path / "another"))
    for one in made.situation.packages:
        store.remember("artifact", one.artifact.digest, store.put(one.data))
    with open_droplet(str(made.path)) as droplet:
        assert attesting.rebuild(droplet, str(made.app), settings(tmp_path, store)) == made.digest


@pytest.mark.parametrize("builder", ["ci", "has space:x", "urn:\n", ""])
def test_a_builder_is_a_uri(builder: str, staged: Staged, key: keys.PrivateKey) -> None:
    with pytest.raises(UsageError):
        envelope_of(staged, key, builder=builder)


def test_without_sigstore_its_absence_is_said(staged: Staged) -> None:
    assert find_spec("sigstore") is None, "this test wants an environment without the package"
    calls: list[Callable[[], bytes]] = [lambda: keyless.sign(b"{}"), lambda: keyless.verify(b"{}", "a", "b", "x")]
    for call in calls:
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.message == "signing without a key needs the package sigstore"
        assert caught.value.hint == "Install it beside stager: pip install sigstore"


def test_without_cryptography_its_absence_is_said(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['cryptography'] = None\n"
        "from stager.evidence.provenance import keys\nfrom stager.errors import UsageError\n"
        "try:\n    keys.make(sys.argv[1])\nexcept UsageError as error:\n    print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "k")], capture_output=True, text=True, check=True)
    assert done.stdout == "signatures need the package cryptography\n"


# --- commands --------------------------------------------------------------------------------------------------


def test_the_commands_from_key_to_check(tmp_path: Path) -> None:
    made = stage(SITUATIONS["two wheels"](), tmp_path)
    store = Path(made.store.root)
    key = in_process("attest", "--make-key", tmp_path / "key", "--json", store=store).good().document["key"]
    assert key == keys.read_public(str(tmp_path / "key.pub")).id
    out = tmp_path / "a.json"
    options = ("--source", made.app, "--key", tmp_path / "key", "--offline", "-q", "-o", out, "--json")
    done = in_process("attest", made.path, *options, store=store).good().document
    assert (done["digest"], done["keys"]) == (made.digest, [key])
    public = keys.read_public(str(tmp_path / "key.pub"))
    found = attesting.check(made.digest, [("a.json", out.read_bytes())], [public], 1)
    assert [(one.key, one.builder) for one in found.signers] == [(key, "urn:stager:builder:local")]
    again = tmp_path / "r.json"
    in_process("receipt", made.path, "-o", again, store=store).good()
    in_process("receipt", made.path, "--check", again, store=store).good()
    assert again.read_bytes() == receipt_of(made)
    assert in_process("receipt", made.path, store=store).good().out.encode() == receipt_of(made)


def test_a_fresh_rebuild_uses_nothing_of_the_store(tmp_path: Path) -> None:
    made = stage(SITUATIONS["nothing but a Procfile"](), tmp_path / "1")
    keys.make(str(tmp_path / "key"))
    options = ("--key", tmp_path / "key", "--fresh", "--offline", "-q")
    done = in_process("attest", made.path, "--source", made.app, *options, store=Path(made.store.root)).good()
    assert attesting.check(made.digest, [("a", done.out.encode())], [keys.read_public(str(tmp_path / "key.pub"))], 1)
    needy = stage(SITUATIONS["two wheels"](), tmp_path / "2")
    refused = in_process("attest", needy.path, "--source", needy.app, *options, "--json", store=Path(needy.store.root))
    assert (refused.code, refused.document["error"]["code"]) == (40, "NotCached")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "sign with --key or with --sigstore"),
        (("--key", "x", "--sigstore"), "--key and --sigstore exclude each other"),
    ],
)
def test_how_to_sign_must_be_said(options: tuple[str, ...], message: str, staged: Staged) -> None:
    done = in_process("attest", staged.path, *options, "--json", store=Path(staged.store.root))
    assert (done.code, done.document["error"]["message"]) == (2, message)


def test_a_key_that_others_may_read_signs_nothing(tmp_path: Path, staged: Staged) -> None:
    keys.make(str(tmp_path / "key"))
    (tmp_path / "key").chmod(0o644)
    out = tmp_path / "a.json"
    done = in_process(
        "attest", staged.path, "--key", tmp_path / "key", "-o", out, "--json", store=Path(staged.store.root)
    )
    assert (done.code, out.exists()) == (50, False)


def test_errors_name_no_key_material(tmp_path: Path, key: keys.PrivateKey) -> None:
    path = tmp_path / "key"
    path.write_bytes(pem("ec"))
    path.chmod(0o600)
    secret = path.read_bytes().split(b"\n")[1].decode()
    with pytest.raises(StagerError) as caught:
        keys.read_private(str(path))
    assert secret not in str(caught.value) + json.dumps(caught.value.as_json())
