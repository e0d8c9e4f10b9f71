"""HTTP for sources: every connection, also after a redirect or for a playlist's segment, is checked by the policy.

ffmpeg's own client would follow a server anywhere. Here a name is looked up, an allowed one of its addresses is taken,
and the connection goes to that address; certificates are checked against the name.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import urljoin

import certifi
import httpx

from inkling.models.transport_stream import LossFinder
from inkling.service.protocol.errors import ServiceError
from inkling.service.sources.address import PORTS, Address
from inkling.service.sources.failure import Failure
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.policy import SourcePolicy
from inkling.service.version import version

Resolve = Callable[[str, int], list[str]]
"""Host and port -> IP addresses. Raises Failure."""

MAX_REDIRECTS = 5
_STATUS = {
    401: Cause.UNAUTHORISED,
    403: Cause.UNAUTHORISED,
    407: Cause.UNAUTHORISED,
    404: Cause.NOT_FOUND,
    410: Cause.NOT_FOUND,
}


class ResponseBody:
    """A response's body as ffmpeg reads it, forward only. name: its URL, against which ffmpeg resolves others.

    content_type: in full, type: its first part. losses: looks at the bytes as they are read, where they are a transport
    stream. length: of the whole, None: not said. ranged: whether the server gives parts of it. etag, modified: what
    the server calls this very version of it, empty: nothing.
    """

    def __init__(self, response: httpx.Response, name: str) -> None:
        self.name = name
        self.content_type = response.headers.get("content-type", "")
        self.type = self.content_type.partition(";")[0].strip().lower()
        self.etag, self.modified = response.headers.get("etag", ""), response.headers.get("last-modified", "")
        length = response.headers.get("content-length", "")
        self.length = int(length) if length.isdecimal() else None
        self.ranged = response.headers.get("accept-ranges", "").strip().lower() == "bytes"
        self.losses: LossFinder | None = None
        self._take(response, 0)

    def _take(self, response: httpx.Response, place: int) -> None:
        self._response = response
        self._chunks: Iterator[bytes] = response.iter_raw()
        self._rest = b""
        self._place = place

    def read(self, size: int) -> bytes:
        """At least one byte and at most `size` of them; none at the end. Raises Failure."""
        data = self.peek(1)[:size]
        self._rest = self._rest[len(data) :]
        if self.losses is not None:
            self.losses.feed(data, self._place)
        self._place += len(data)
        return data

    def peek(self, least: int) -> bytes:
        """What is read next: at least so many bytes, unless it ends before. Raises Failure."""
        while len(self._rest) < least:
            try:
                self._rest += next(self._chunks)
            except StopIteration:
                break
            except httpx.HTTPError as error:
                raise failure(error) from None
        return self._rest

    def close(self) -> None:
        self._response.close()


class SeekableBody(ResponseBody):
    """A body that can be read from anywhere: another part is asked for where ffmpeg jumps to.

    An MP4 has its index at the end, unless somebody moved it.
    """

    def __init__(self, body: ResponseBody, length: int, ask: Callable[[int], httpx.Response]) -> None:
        """body: just opened, and peeked into at most. ask: GET from that byte on. Raises Failure."""
        self.name, self.content_type, self.type = body.name, body.content_type, body.type
        self.etag, self.modified = body.etag, body.modified
        self.length, self.ranged, self.losses = length, True, None
        self._ask = ask
        self._size = length
        self._response, self._chunks, self._rest, self._place = body._response, body._chunks, body._rest, 0

    def read(self, size: int) -> bytes:
        return super().read(size) if self._place < self._size else b""

    def tell(self) -> int:
        """The next byte's place."""
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        """Read on from another place. Raises Failure."""
        place = max(offset + {0: 0, 1: self._place, 2: self._size}[whence], 0)
        if self._place <= place <= self._place + len(self._rest):
            self._rest = self._rest[place - self._place :]
            self._place = place
        elif place < self._size:
            self._response.close()
            self._take(self._ask(place), place)
        else:
            self._rest, self._place = b"", place
        return place


class SourceClient:
    """A client for one source and whatever its playlists name."""

    def __init__(self, root: Address, policy: SourcePolicy, resolve: Resolve, timeout_s: float) -> None:
        """root: the source; its credentials go to its own scheme, host and port only."""
        self._root = root
        self._policy = policy
        self._resolve = resolve
        self._client = httpx.Client(
            timeout=timeout_s,
            trust_env=False,
            verify=_context(policy),
            headers={"user-agent": f"inkling/{version()}", "accept-encoding": "identity"},
        )

    def open(self, url: str) -> ResponseBody:
        """GET. Raises Failure."""
        return self._checked(*self._opened(url))

    def open_if_new(self, url: str, known: dict[str, str]) -> ResponseBody | None:
        """GET with the headers `known`; None: the server says that it has nothing else. Raises Failure."""
        response, address = self._opened(url, known)
        if known and response.status_code == 304:
            response.close()
            return None
        return self._checked(response, address)

    def open_file(self, url: str) -> ResponseBody:
        """GET what may be a file: a body that can be read from anywhere, where the server gives parts. Raises Failure.

        Each part is asked for at the address where the whole was found, which is looked up and checked anew.
        """
        response, address = self._opened(url)
        body = self._checked(response, address)
        if not body.ranged or body.length is None:
            return body

        def ask(place: int) -> httpx.Response:
            response = self._get(address, {"range": f"bytes={place}-"})
            if response.status_code != 206:
                response.close()
                raise Failure(Cause.CLOSED, "the server does not give the part of the file that was asked for")
            return response

        return SeekableBody(body, body.length, ask)

    def _opened(self, url: str, headers: dict[str, str] | None = None) -> tuple[httpx.Response, Address]:
        for _ in range(MAX_REDIRECTS + 1):
            address = self._parse(url)
            response = self._get(address, headers)
            where = response.headers.get("location")
            if not (response.is_redirect and where):
                return response, address
            response.close()
            try:
                url = urljoin(address.at(address.host, credentials=False), where)
            except ValueError:  # its text would repeat the address
                raise Failure(Cause.REFUSED, "it leads to an address that is none") from None
        raise Failure(Cause.UNREADABLE, f"more than {MAX_REDIRECTS} redirects")

    def close(self) -> None:
        self._client.close()

    def _parse(self, url: str) -> Address:
        try:
            address = self._root if url == self._root.url else Address.parse(url)
            if address.scheme not in ("http", "https"):
                raise Failure(Cause.REFUSED, f"it leads from HTTP to {address.scheme}:")
            self._policy.admit(address)
        except ServiceError as error:
            raise Failure(Cause.REFUSED, str(error)) from None
        return address

    def _get(self, address: Address, headers: dict[str, str] | None = None) -> httpx.Response:
        port = address.port or PORTS[address.scheme]
        try:
            ip = self._policy.choose(address.host, self._resolve(address.host, port))
        except ServiceError as error:
            raise Failure(Cause.REFUSED, str(error)) from None
        request = self._client.build_request(
            "GET",
            address.at(ip, credentials=False),
            headers={"host": address.host_header} | (headers or {}),
            extensions={"sni_hostname": address.host},
        )
        try:
            response = self._client.send(request, stream=True)
            if response.status_code == 401 and (auth := self._auth(address, response)):
                response.close()
                response = self._client.send(request, stream=True, auth=auth)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # httpx looks at a redirect's address at once, and cannot read every one of them.
            raise failure(error) from None
        return response

    def _auth(self, address: Address, response: httpx.Response) -> httpx.Auth | None:
        owner, root = address, self._root
        if address.user is None and (address.scheme, address.host_header) == (root.scheme, root.host_header):
            owner = root
        if owner.user is None:
            return None
        digest = "digest" in response.headers.get("www-authenticate", "").lower()
        return (httpx.DigestAuth if digest else httpx.BasicAuth)(owner.user, owner.password or "")

    def _checked(self, response: httpx.Response, address: Address) -> ResponseBody:
        if response.is_success:
            return ResponseBody(response, address.at(address.host, credentials=False))
        with contextlib.suppress(httpx.HTTPError):
            response.close()
        status = response.status_code
        cause = _STATUS.get(status, Cause.UNREACHABLE if status >= 500 or status == 429 else Cause.UNREADABLE)
        raise Failure(cause, f"HTTP status {status}")


def _context(policy: SourcePolicy) -> ssl.SSLContext:
    """How TLS is spoken. Raises Failure when the setting's file cannot be read."""
    try:
        context = ssl.create_default_context(cafile=str(policy.ca_file or certifi.where()))
    except OSError as error:  # ssl.SSLError too
        raise Failure(Cause.REFUSED, f"the setting source_ca_file cannot be used: {error.strerror}") from None
    if not policy.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def failure(error: httpx.HTTPError | httpx.InvalidURL) -> Failure:
    """Why a connection failed, in words that hold no URL."""
    match error:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return Failure(Cause.REFUSED, "it leads to an address that is none of HTTP")
        case httpx.RemoteProtocolError() if "location header" in str(error):
            return Failure(Cause.REFUSED, "it leads to an address that is none")
        case httpx.TimeoutException():
            return Failure(Cause.TIMEOUT, "no answer in time")
        case httpx.ConnectError() if "CERTIFICATE" in str(error):
            return Failure(Cause.UNREADABLE, "the certificate of the server cannot be verified")
        case httpx.ConnectError():
            return Failure(Cause.UNREACHABLE, "cannot connect")
        case _:
            return Failure(Cause.CLOSED, "the connection broke")
