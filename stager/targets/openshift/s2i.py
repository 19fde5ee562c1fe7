"""A source-to-image builder of a stack: a build context and the four scripts that s2i calls.

The scripts are the interface of builder images (source-to-image, docs/builder_image.md): `assemble` turns source into what
runs, `run` starts it, `save-artifacts` streams what the next build can use, `usage` explains. The app that is assembled has
the droplet's bytes; the image that s2i commits is s2i's own and not reproducible.
"""

from __future__ import annotations

import os

from ...files.filling import FolderOutput

SCRIPTS = "/usr/libexec/s2i"

_ASSEMBLE = """\
#!/bin/sh
# Called by s2i: stages the source as a droplet and unpacks it, its own modes included.
set -eu
umask 0002
here=${S2I_DESTINATION:-/tmp}
if [ -d "$here/artifacts" ] && [ -n "$(ls -A "$here/artifacts")" ]; then
  mkdir -p -m 0700 "$STAGER_CACHE_DIR"
  cp -R "$here/artifacts/." "$STAGER_CACHE_DIR"
fi
droplet=$(mktemp -d)/droplet.tgz
stager stage "$here/src" --output "$droplet" --stack "$STAGER_STACK" --quiet ${STAGER_OPTIONS-}
tar -xzpf "$droplet" --no-same-owner -C "${S2I_ROOT:-/}" ./app
rm -rf "$(dirname "$droplet")"
"""

_RUN = """\
#!/bin/sh
# Called to start the image: a process type of the droplet, 'web' unless STAGER_PROCESS names another.
exec "${S2I_ROOT:-}/app/.stager/bin/launch" "${STAGER_PROCESS:-web}"
"""

_SAVE = """\
#!/bin/sh
# Called by 's2i build --incremental': a tar of the store, and nothing else, on standard output.
set -eu
mkdir -p -m 0700 "$STAGER_CACHE_DIR"
exec tar -cf - -C "$STAGER_CACHE_DIR" .
"""

_USAGE = """\
#!/bin/sh
cat <<'END'
This image turns source into an app that runs on the stack {stack}:

    s2i build SOURCE {name} APP

STAGER_OPTIONS holds further options of 'stager stage', such as --locked. The image of the app starts the process type
'web'; STAGER_PROCESS names another. Without s2i, 'stager export oci' makes an image that is the same bytes every time.
END
"""

_DOCKERFILE = """\
# The s2i builder of the stack {stack}. BASE is that stack with Python 3.11 or later, venv and tar.
ARG BASE
FROM ${{BASE}}
USER 0
COPY wheels /tmp/wheels
RUN python3 -m venv /opt/stager \\
 && /opt/stager/bin/pip install --no-cache-dir --find-links /tmp/wheels stager=={version} \\
 && rm -rf /tmp/wheels \\
 && mkdir -p /app /opt/store \\
 && chown 2000:0 /app /opt/store && chmod 0775 /app && chmod 0700 /opt/store
COPY s2i/bin {scripts}
ENV HOME=/app PATH=/opt/stager/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    PORT=8080 STAGER_CACHE_DIR=/opt/store STAGER_STACK={stack}
LABEL io.k8s.description="Stages source with stager for the stack {stack}" \\
      io.k8s.display-name="stager for {stack}" \\
      io.openshift.expose-services="8080:http" \\
      io.openshift.s2i.destination="/tmp" \\
      io.openshift.s2i.scripts-url="image://{scripts}" \\
      io.openshift.tags="builder,stager"
EXPOSE 8080
WORKDIR /app
USER 2000
CMD ["{scripts}/usage"]
"""

_WHEELS = "Put wheels here that the builder cannot get from its package index: stager's own, if it is not published.\n"


def files(stack: str, version: str) -> dict[str, tuple[str, bool]]:
    """Path in the builder's folder → (text, executable)."""
    return {
        "Dockerfile": (_DOCKERFILE.format(stack=stack, version=version, scripts=SCRIPTS), False),
        "s2i/bin/assemble": (_ASSEMBLE, True),
        "s2i/bin/run": (_RUN, True),
        "s2i/bin/save-artifacts": (_SAVE, True),
        "s2i/bin/usage": (_USAGE.format(stack=stack, name=f"stager-{stack}"), True),
        "wheels/README": (_WHEELS, False),
    }


def write_builder(out: str, stack: str, version: str) -> list[str]:
    """Write a builder's folder; the paths in it. Raises CannotWrite, also when `out` is there and is no such folder."""
    found, marker = files(stack, version), os.path.join("s2i", "bin", "assemble")
    with FolderOutput(out, marker, "something that is no s2i builder of stager is there") as part:
        for path, (text, executable) in found.items():
            place = os.path.join(part, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "x", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(place, 0o755 if executable else 0o644)
    return list(found)
