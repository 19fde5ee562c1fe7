"""`stager diff`: how two droplets, slugs, images, boxes, plans or folders differ. Exit 0 equal, 1 different."""

from __future__ import annotations

from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `diff`."""
    what = "a droplet, slug, image, box, stager.lock or folder"
    parser.add_argument("a", metavar="A", help=what)
    parser.add_argument("b", metavar="B", help="another one; any two kinds can be compared")
    parser.add_argument("--markdown", action="store_true", help="print Markdown for a review comment")
    parser.add_argument("--all", action="store_true", help="list every file, not the first few of each package")
    parser.add_argument("--content", action="store_true", help="exit 0 when only the envelope differs")
    parser.add_argument("--contents", action="store_true", help="show what differs inside files, with diffoscope")


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, and say by the exit status whether the two differ."""
    from ...evidence.diff import compare, read_both, rendering

    found = compare(*read_both(arguments.a, arguments.b), content_only=arguments.content)
    inside = ""
    if arguments.contents:
        from ...evidence.diff import diffoscope

        inside = diffoscope.contents(found)
    if arguments.json:
        shared.print_json({**rendering.as_json(found), **({"contents": inside} if arguments.contents else {})})
    elif arguments.markdown:
        print(rendering.as_markdown(found, everything=arguments.all, inside=inside), end="")
    else:
        print(rendering.as_text(found, everything=arguments.all, inside=inside))
    return int(found.different)


COMMANDS: dict[str, shared.Row] = {"diff": (run, configure)}
