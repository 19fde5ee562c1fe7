"""What Debian's programs expect of their surroundings when they do not lie in `/usr`: variables that lead them to their files.

Their own search paths are compiled in. Programs and libraries are found by `PATH` and `LD_LIBRARY_PATH`, data by the variable
that each program reads for it. Files with a DT_RPATH of their own, such as a runtime's, look there first (ld.so(8)).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

PROFILE = ".profile.d/000-stager-apt.sh"
"""Sourced before the runtimes' own, which put their programs in front of these."""
PROGRAMS = ("usr/bin", "usr/sbin", "usr/games")
VARIABLES = (
    (r"libmagic-mgc", "MAGIC", "usr/lib/file/magic.mgc"),
    (r"fontconfig-config", "FONTCONFIG_PATH", "etc/fonts"),
    (r"tesseract-ocr-.+", "TESSDATA_PREFIX", "usr/share/tesseract-ocr/*/tessdata"),
    (r"libgs\d+-common|libgs-common", "GS_LIB", "usr/share/ghostscript/*/Resource/Init"),
    (r"libqt5gui5|libqt5gui5t64", "QT_PLUGIN_PATH", "usr/lib/$triplet/qt5/plugins"),
    (r"libqt6gui6|libqt6gui6t64", "QT_PLUGIN_PATH", "usr/lib/$triplet/qt6/plugins"),
    (r"cowsay", "COWPATH", "usr/share/cowsay/cows"),
    (r"libmagickcore-.+", "MAGICK_CODER_MODULE_PATH", "usr/lib/$triplet/ImageMagick-*/modules-*/coders"),
    (r"libmagickcore-.+", "MAGICK_FILTER_MODULE_PATH", "usr/lib/$triplet/ImageMagick-*/modules-*/filters"),
    (r"libgvc\d+", "GVBINDIR", "usr/lib/$triplet/graphviz"),
    (r"proj-data", "PROJ_DATA", "usr/share/proj"),
    (r"proj-data", "PROJ_LIB", "usr/share/proj"),
    (r"gdal-data", "GDAL_DATA", "usr/share/gdal"),
    (r"libgl1-mesa-dri", "LIBGL_DRIVERS_PATH", "usr/lib/$triplet/dri"),
    (r"libegl-mesa0", "__EGL_VENDOR_LIBRARY_DIRS", "usr/share/glvnd/egl_vendor.d"),
    (r"libgstreamer1\.0-0", "GST_PLUGIN_SYSTEM_PATH", "usr/lib/$triplet/gstreamer-1.0"),
    (r"libgstreamer1\.0-0", "GST_PLUGIN_SCANNER", "usr/lib/$triplet/gstreamer1.0/gstreamer-1.0/gst-plugin-scanner"),
    (r"gir1\.2-.+", "GI_TYPELIB_PATH", "usr/lib/$triplet/girepository-1.0"),
    (r"espeak-ng-data", "ESPEAK_DATA_PATH", "usr/lib/$triplet"),
    (r"libasound2-data", "ALSA_CONFIG_PATH", "usr/share/alsa/alsa.conf"),
    (r"odbcinst|unixodbc-common", "ODBCSYSINI", "etc"),
    (r"libudunits2-data", "UDUNITS2_XML_PATH", "usr/share/xml/udunits/udunits2.xml"),
    (r"hunspell-.+", "DICPATH", "usr/share/hunspell"),
    (r"xkb-data", "XKB_CONFIG_ROOT", "usr/share/X11/xkb"),
    (r"frei0r-plugins", "FREI0R_PATH", "usr/lib/frei0r-1"),
    (r"ncurses-term", "TERMINFO_DIRS", "usr/share/terminfo"),
    (r"git", "GIT_EXEC_PATH", "usr/lib/git-core"),
    (r"git", "GIT_TEMPLATE_DIR", "usr/share/git-core/templates"),
    (r"openjdk-\d+-jre-headless", "JAVA_HOME", "usr/lib/jvm/java-*-openjdk-*"),
    (r"libtcl[\d.]+", "TCL_LIBRARY", "usr/share/tcltk/tcl8.*"),
    (r"libtk[\d.]+", "TK_LIBRARY", "usr/share/tcltk/tk8.*"),
)
"""(package, variable, where in the layer): set where it is not set already and the place is there."""
LISTS = (
    (r"perl-modules-.+|lib.+-perl", "PERL5LIB", "usr/share/perl/5.* usr/lib/$triplet/perl/5.* usr/share/perl5 "
     "usr/lib/$triplet/perl5/5.*"),
    (r"libmagickcore-.+", "MAGICK_CONFIGURE_PATH", "usr/share/ImageMagick-* usr/lib/$triplet/ImageMagick-*/config-* "
     "etc/ImageMagick-*"),
    (r"openjdk-\d+-jre-headless", "PATH", "usr/lib/jvm/java-*-openjdk-*/bin"),
    (r"postgresql-client-\d+", "PATH", "usr/lib/postgresql/*/bin"),
)  # fmt: skip
"""(package, variable, folders of the layer): put in front of what the variable holds."""
COMMANDS = (
    (r"libgvc\d+", "usr/lib/$triplet/graphviz/config6a", "dot -c"),
    (r"shared-mime-info", "usr/share/mime/mime.cache", 'update-mime-database "$stager_system"/usr/share/mime'),
    (r"libglib2\.0-bin", "usr/share/glib-2.0/schemas/gschemas.compiled",
     'glib-compile-schemas "$stager_system"/usr/share/glib-2.0/schemas'),
)  # fmt: skip
"""(package, file, command): what installing would make of all packages there are is made at the first start, where it may."""


def profile(names: Iterable[str], triplet: str, place: str) -> str:
    """The profile script of a droplet with these packages at `place`."""
    packages = sorted(names)
    return "\n".join(
        [
            "# Made by stager: where the app's Debian packages are. Sourced by sh or bash before a process starts.",
            f"stager_system=$HOME/{place}",
            "stager_front() {",
            "  stager_name=$1",
            "  shift",
            "  for stager_path; do",
            '    if [ -d "$stager_path" ]; then eval "$stager_name=\\$stager_path\\${$stager_name:+:\\$$stager_name}"; fi',
            "  done",
            '  export "${stager_name?}"',
            "}",
            "stager_place() {",
            '  if eval "[ -z \\"\\${$1+set}\\" ]" && [ -e "$2" ]; then export "$1=$2"; fi',
            "}",
            *_lines(packages, triplet),
            "unset -f stager_front stager_place",
            "unset stager_system stager_name stager_path",
            "",
        ]
    )


def _lines(packages: list[str], triplet: str) -> Iterator[str]:
    yield _front("PATH", " ".join(PROGRAMS))
    yield _front("LD_LIBRARY_PATH", f"usr/lib usr/lib/{triplet}")
    yield "XDG_DATA_DIRS=${XDG_DATA_DIRS:-/usr/local/share:/usr/share}"
    yield _front("XDG_DATA_DIRS", "usr/share")
    for pattern, variable, places in LISTS:
        if _any(pattern, packages):
            yield _front(variable, places.replace("$triplet", triplet))
    for pattern, variable, where in VARIABLES:
        if _any(pattern, packages):
            yield f'stager_place {variable} "$stager_system"/{where.replace("$triplet", triplet)}'
    for pattern, made, command in COMMANDS:
        if _any(pattern, packages):
            file = f'"$stager_system"/{made.replace("$triplet", triplet)}'
            yield f"[ -e {file} ] || [ ! -w {file.rpartition('/')[0]} ] || {command} >/dev/null 2>&1 || :"


def _front(variable: str, places: str) -> str:
    return f"stager_front {variable} " + " ".join(f'"$stager_system"/{place}' for place in places.split())


def _any(pattern: str, packages: list[str]) -> bool:
    return any(re.fullmatch(pattern, name) for name in packages)
