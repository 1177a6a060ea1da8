#!/bin/sh
# Builds a Debian package for the Python that runs it: build_deb.sh PYTHON SOURCES OUTPUT [option of pip ...]
# PYTHON must be of the version of the target's /usr/bin/python3, on the same processor.
set -eu
[ $# -ge 3 ] || { sed -n 's/^# //p' "$0" >&2; exit 2; }
python=$1 sources=$2 output=$3
shift 3
here=$sources/edge_runtime/install
version=$("$python" -c "import sys, re; print(re.search(r'^version = \"(.+)\"', open(sys.argv[1]).read(), re.M)[1])" "$sources/pyproject.toml")
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$root/DEBIAN" "$root/opt/reid-edge/bin" "$root/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/bin"
"$python" -m pip --disable-pip-version-check -q install --no-compile --target "$root/opt/reid-edge/lib" "$@" "$sources[runtime,cpu]"
rm -rf "$root/opt/reid-edge/lib/bin"
for command in edge:daemon listen:listen; do
	name=reid-${command%:*}
	cat >"$root/opt/reid-edge/bin/$name" <<COMMAND
#!/usr/bin/python3
import sys

sys.path.insert(0, "/opt/reid-edge/lib")
from edge_runtime.${command#*:} import command

command()
COMMAND
	chmod 755 "$root/opt/reid-edge/bin/$name"
	ln -s "/opt/reid-edge/bin/$name" "$root/usr/bin/$name"
done
install -m 644 "$here/reid-edge.service" "$root/lib/systemd/system/reid-edge.service"
install -m 644 "$here/reid-edge.sysusers" "$root/usr/lib/sysusers.d/reid-edge.conf"
chmod 755 "$root"
install -m 755 "$here/postinst" "$here/prerm" "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: reid-edge
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: reid-edge <reid-edge@localhost>
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), python3-gi, gir1.2-gstreamer-1.0, gir1.2-gst-plugins-base-1.0, gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad, gstreamer1.0-libav, glib-networking
Section: video
Priority: optional
Description: person re-identification beside the camera
 Finds people in cameras' pictures, describes each by a few hundred numbers, and sends these to an MQTT broker.
CONTROL
dpkg-deb -Zzstd --root-owner-group --build "$root" "$output" >/dev/null
