"""A real RTSP camera (GStreamer's server), for tests; run by the system's Python, which has its bindings.

    /usr/bin/python3 rtsp_server.py PORT [USER PASSWORD | CERTIFICATE | person]

PORT 0 takes a free one. CERTIFICATE: a PEM file with its key, for rtsps. person: a red figure
stands in the picture, in place of a ball that bounces. Prints the port, then obeys lines on standard
input: `freeze`, `go`, `size WIDTH HEIGHT FPS`.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import gi  # type: ignore[import-not-found,unused-ignore]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

CAPS = "video/x-raw,format=I420,width={},height={},framerate={}/1"
LAUNCH = (
    f"( videotestsrc is-live=true pattern=ball ! capsfilter name=size caps={CAPS.format(320, 240, 15)} ! "
    "valve name=valve ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 ! "
    "rtph264pay name=pay0 pt=96 config-interval=-1 )"
)
PERSON = LAUNCH.replace(
    f"videotestsrc is-live=true pattern=ball ! capsfilter name=size caps={CAPS.format(320, 240, 15)}",
    f"videotestsrc is-live=true pattern=solid-color foreground-color=0xffe61414 ! {CAPS.format(80, 160, 15)} ! "
    "videobox left=-120 right=-120 top=-40 bottom=-40 fill=black",
)


def main() -> None:
    port, *how = sys.argv[1:]
    launch = LAUNCH
    if how == ["person"]:
        launch, how = PERSON, []
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    factory.set_shared(True)
    medias: list[Any] = []
    factory.connect("media-configure", lambda _, media: medias.append(media))
    if how:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if len(how) == 2:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*how), token)
        else:
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(*how))
            auth.set_default_token(token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        raise SystemExit("cannot listen")
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    loop = GLib.MainLoop()

    def obey() -> None:
        for line in sys.stdin:
            command, *values = line.split()
            for media in medias:
                if command == "size":
                    caps = Gst.Caps.from_string(CAPS.format(*values))
                    media.get_element().get_by_name("size").set_property("caps", caps)
                else:
                    media.get_element().get_by_name("valve").set_property("drop", command == "freeze")
        loop.quit()

    threading.Thread(target=obey, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
