"""Real droplets of apps so small that staging one takes milliseconds and nothing but Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import stager

SERVE = """\
#!/usr/bin/perl
use strict; use IO::Socket::INET;
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die $!;
while (my $client = $listen->accept) {
  while (defined(my $line = <$client>)) { last if $line =~ /^\\r?\\n$/ }
  my $body = "home $ENV{HOME}\\ncolour " . ($ENV{COLOUR} // '') . "\\ndyno " . ($ENV{DYNO} // '') . "\\nuser $>\\n";
  print $client "HTTP/1.0 200 OK\\r\\nContent-Length: " . length($body) . "\\r\\n\\r\\n$body";
  close $client;
}
"""
"""A web server that tells what it sees of its surroundings."""
PROCFILE = "web: ./serve\nworker: sleep 600\n"


def small_droplet(folder: Path, files: Mapping[str, str] | None = None, *, stack: str = "") -> Path:
    """Stage an app with these files (beside a Procfile and a server) below `folder`; the droplet's file.

    Files that begin with `#!` are executable.
    """
    app = folder / "app"
    for name, text in {"Procfile": PROCFILE, "serve": SERVE, **(files or {})}.items():
        path = app / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    out = folder / "droplet.tgz"
    settings = {"stack": stack} if stack else {}
    stager.stage(str(app), out=str(out), store=stager.Store(str(folder / "store")), **settings)  # type: ignore[arg-type]
    return out
