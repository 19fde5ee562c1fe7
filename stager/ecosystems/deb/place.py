"""Where Debian packages that an app asks for lie in its droplet, and how: shared by what resolves, unpacks and finds them."""

LAYOUT, PLACE = "deb-system/1", ".stager/system"
STATUS = f"{PLACE}/var/lib/dpkg/status.d"
"""What says which packages there are: `NAME`, its control file, and `NAME.md5sums`, the list of its files."""
