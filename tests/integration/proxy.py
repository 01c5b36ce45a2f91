"""A network that a test can break: a TCP proxy on loopback in front of the server.

Connections pass through it unchanged until the test says otherwise. cut() breaks those that are there, as
a fallen link or a firewall does; stall() keeps them open and lets nothing through, which neither side's
kernel notices. New connections pass in both cases, unless refuse() has closed the door. throttle() lets
only so many bytes per second through towards the client, cut_after() breaks the connection in the middle
of what the server sends, garble_after() changes a byte of it, repeat() sends what it says next twice.
say() answers in its place. asked is how many connections have been wanted.
"""

import contextlib
import select
import socket
import struct
import threading
import time

BLOCK = 16 * 1024
# Closing with this sends a reset instead of an orderly end.
RESET = struct.pack("ii", 1, 0)


class Link:
    """One connection, from the client to the server and back."""

    def __init__(self, client, server):
        self.client = client
        self.server = server
        self.is_stalled = False
        self.is_over = False

    def close(self, with_reset):
        self.is_over = True
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                if with_reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                # Wakes the thread that waits for it.
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    def __init__(self, port):
        """port: the server's, on loopback."""
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links = []
        self.asked = 0
        self._is_closed = False
        self._is_refusing = False
        self._answer = None
        self._bytes_per_second = None
        self._bytes_until_cut = None
        self._bytes_until_garbled = None
        self._repeats = 0
        self._replacement = None
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self):
        return self._listener.getsockname()[1]

    @property
    def live_count(self):
        with self._lock:
            return sum(not link.is_over for link in self._links)

    def cut(self):
        with self._lock:
            for link in self._links:
                link.close(with_reset=True)
            self._links.clear()

    def stall(self):
        """Those that are there now let nothing through any more."""
        with self._lock:
            for link in self._links:
                link.is_stalled = True

    def resume(self):
        with self._lock:
            for link in self._links:
                link.is_stalled = False

    def refuse(self, is_refusing=True):
        """New connections end at once."""
        self._is_refusing = is_refusing

    def say(self, answer):
        """New connections get this to whatever they ask, and end: another server has the address now."""
        self._answer = answer

    def throttle(self, bytes_per_second):
        """Towards the clients; None lifts it."""
        self._bytes_per_second = bytes_per_second

    def cut_after(self, size_bytes):
        """Cuts once, when so many bytes more have gone to the clients."""
        self._bytes_until_cut = size_bytes

    def garble_after(self, size_bytes):
        """Once, after so many bytes more to the clients, the next one is another, and the connection ends: of a
        length that is another now, the other side might wait for more."""
        self._bytes_until_garbled = size_bytes

    @property
    def is_done(self):
        """Whether what cut_after() and garble_after() asked for has happened."""
        return self._bytes_until_cut is None and self._bytes_until_garbled is None

    def repeat(self, blocks=1):
        """So many of the next blocks to the clients are sent twice: a server that answers twice."""
        self._repeats = blocks

    def replace(self, old, new):
        """In what the server says; both of one length, so that nothing else changes."""
        assert len(old) == len(new)
        self._replacement = (old, new)

    def close(self):
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self):
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.asked += 1
            if self._is_refusing:
                client.close()
                continue
            if self._answer is not None:
                self._say(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                client.close()
                continue
            link = Link(client, server)
            with self._lock:
                self._links.append(link)
            if self._is_closed or self._is_refusing or self._answer is not None:
                # Said while it was being made.
                link.close(with_reset=True)
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(link, source, sink), daemon=True).start()

    def _say(self, client):
        with contextlib.suppress(OSError), client:
            client.recv(BLOCK)
            client.sendall(self._answer)
            client.shutdown(socket.SHUT_WR)
            # Closed before all that was sent is read, it would be a reset.
            while client.recv(BLOCK):
                pass

    def _pump(self, link, source, sink):
        try:
            while not link.is_over and self._pass_on(link, source, sink):
                pass
        except (OSError, ValueError):
            pass
        link.close(with_reset=False)

    def _pass_on(self, link, source, sink):
        """One block. Answers False at the end of the connection."""
        if link.is_stalled or not select.select([source], [], [], 0.05)[0]:
            # A stalled link is looked at again: nothing tells when it is resumed.
            time.sleep(0.01 if link.is_stalled else 0)
            return True
        if link.is_stalled:
            # Stalled while we waited: what came since stays where it is.
            return True
        block = source.recv(BLOCK)
        if not block:
            return False
        must_cut = is_garbled = False
        if sink is link.client:
            block, must_cut, is_garbled = self._disturb(block)
            self._slow_down(len(block))
        sink.sendall(block)
        if must_cut:
            self.cut()
        return not is_garbled

    def _disturb(self, block):
        """What becomes of a block on its way to the client; whether all is to be cut, and whether this link ends."""
        with self._lock:
            was_to_garble = self._bytes_until_garbled is not None
            block = self._garble(self._change(self._count(block)))
            must_cut = self._bytes_until_cut == 0
            if must_cut:
                self._bytes_until_cut = None
            return block, must_cut, was_to_garble and self._bytes_until_garbled is None

    def _count(self, block):
        if self._bytes_until_cut is None:
            return block
        block = block[: self._bytes_until_cut]
        self._bytes_until_cut -= len(block)
        return block

    def _change(self, block):
        if self._replacement is not None:
            block = block.replace(*self._replacement)
        if self._repeats > 0:
            self._repeats -= 1
            block += block
        return block

    def _garble(self, block):
        place = self._bytes_until_garbled
        if place is None:
            return block
        if place >= len(block):
            self._bytes_until_garbled -= len(block)
            return block
        self._bytes_until_garbled = None
        return block[:place] + bytes([block[place] ^ 0xFF]) + block[place + 1 :]

    def _slow_down(self, size_bytes):
        if self._bytes_per_second is not None:
            time.sleep(size_bytes / self._bytes_per_second)
