"""The commands, each in a module that `cli` imports when it is asked for; what each file offers is its `COMMANDS`.

A row is what runs and what declares the arguments. Keys are what users type: `stage`, `cache gc`.
"""

from __future__ import annotations

MODULES: dict[str, tuple[str, str]] = {
    "detect": ("app", "say which buildpacks recognise the app, and why"),
    "plan": ("app", "show what the app would be staged from"),
    "lock": ("app", "pin everything in stager.lock, and make the app's own lock if it has none"),
    "stage": ("stage", "make the droplet"),
    "build": ("builds", "run what the app has to have built, or open a shell where that runs"),
    "log": ("builds", "print what a build said when it ran last"),
    "run": ("app", "launch the app, or a droplet file, on this host or in its stack"),
    "inspect": ("app", "show what is inside a droplet file"),
    "diff": ("diff", "say how two droplets, images, plans or folders differ"),
    "verify": ("verify", "stage again under changed conditions and prove that the droplet is the same"),
    "explain": ("explain", "say why: buildpack, version, process, build, layer, package, size"),
    "report": ("report", "write one HTML page about a droplet, or about two"),
    "sbom": ("evidence", "write the bill of materials, as CycloneDX or SPDX"),
    "receipt": ("evidence", "write what a droplet was made from"),
    "attest": ("evidence", "sign that a droplet was made from this source and plan"),
    "bundle export": ("bundle", "write plan, artifacts and runtimes into one file"),
    "bundle import": ("bundle", "check such a file and put what it holds into the store"),
    "export oci": ("oci", "write an OCI image"),
    "export openshift": ("openshift", "write the image with OpenShift and Kubernetes manifests"),
    "export cloudfoundry": ("export", "write the droplet as Cloud Foundry wants it"),
    "export heroku": ("export", "write a Heroku slug"),
    "export bosh": ("export", "write a BOSH release whose compiled package is the droplet"),
    "export tar": ("export", "write the app's files as one plain tar"),
    "export systemd": ("export", "write an installable archive with systemd units"),
    "export chef": ("handoff", "write a Chef cookbook that deploys the droplet by its digest"),
    "export capistrano": ("handoff", "write a Capistrano task that deploys the droplet"),
    "import stackato": ("handoff", "turn a stackato.yml into stager.yml and manifest.yml"),
    "push oci": ("push_oci", "push a droplet, or an image file, to a registry"),
    "push cloudfoundry": ("cloudfoundry", "run the droplet on Cloud Foundry"),
    "push heroku": ("heroku", "release the droplet on a Heroku app"),
    "promote cloudfoundry": ("cloudfoundry", "copy a droplet from app to app"),
    "promote heroku": ("heroku", "release one Heroku app's slug on another"),
    "rollback cloudfoundry": ("cloudfoundry", "go back to the previous droplet"),
    "rebase": ("oci", "put an image's droplet on another stack without staging again"),
    "deploy": ("deploy", "bring one droplet to several targets at once"),
    "up": ("up", "run the app in its stack's box on this machine"),
    "status": ("up", "say what the machine and its processes do"),
    "ssh": ("up", "run a command, or a shell, in the machine as the app runs"),
    "logs": ("up", "print what the machine's processes write"),
    "provision": ("up", "stage again and put the new droplet into the machine"),
    "halt": ("up", "stop the machine"),
    "destroy": ("up", "remove the machine"),
    "check": ("up", "report the app's health as monitoring systems expect it"),
    "box list": ("box", "list the stacks"),
    "box lock": ("box", "pin every package of a stack"),
    "box build": ("box", "build a stack's root filesystem, image and Vagrant boxes"),
    "box catalog": ("boxes", "write the catalog of a stack's boxes, for vagrant"),
    "help": ("help", "show all commands, or how to use one"),
    "completion": ("help", "print what makes a shell complete commands and options"),
    "doctor": ("doctor", "say what this machine can do, and what is missing"),
    "cache info": ("cache", "say where the store is and what it holds"),
    "cache verify": ("cache", "check every blob and set damaged ones aside"),
    "cache gc": ("cache", "remove what is unused, the least used first"),
}
"""Command → (module of this package, help line), in the order that help shows. Kept here so that help imports no command."""

GROUPS = {
    "cache": "look at, check and clean the store",
    "export": "write the droplet in a platform's format",
    "push": "bring the droplet to a platform",
    "promote": "bring a platform's droplet to another app or space by its digest",
    "rollback": "go back to the previous droplet",
    "import": "take over another platform's files",
    "bundle": "carry everything a staging needs to a machine without a network",
    "box": "lock and build stacks",
}
"""First words of two-word commands, with what they are about."""

SECTIONS = {
    "Make a droplet": ("detect", "plan", "lock", "stage", "build", "log"),
    "Run it here": ("run", "up", "status", "ssh", "logs", "provision", "halt", "destroy", "check"),
    "See what is in it, and why": ("inspect", "explain", "diff", "report", "sbom"),
    "Prove where it comes from": ("verify", "receipt", "attest"),
    "Bring it to a platform": ("export", "push", "promote", "rollback", "rebase", "deploy"),
    "Carry over": ("bundle", "import"),
    "This machine": ("box", "cache", "doctor", "completion", "help"),
}
"""The first words of all commands, as `stager help` groups them."""

EXAMPLES = {
    "stager stage": "make droplet.tgz of the app in this folder",
    "stager run": "stage it and launch it on this machine",
    "stager explain": "say why it is staged as it is",
    "stager export oci -o image.tar": "write the droplet as an image",
    "stager push cloudfoundry --app shop": "run the droplet on Cloud Foundry",
}
"""What `stager help` shows first."""
