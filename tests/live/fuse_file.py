"""A file system of one file, "program", by FUSE's own protocol: fuse_file.py FOLDER FILE
mounts it on FOLDER. It says "ready"; after a line "hold" it says so, answers no open any
more, and says "held" for each; after a line "slow" each takes five seconds."""

import ctypes
import errno
import os
import struct
import sys
import threading
import time

# Requests by number (linux/fuse.h).
LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH = 1, 2, 3, 14, 15, 18, 25
INIT, OPENDIR, RELEASEDIR, BATCH_FORGET = 26, 27, 29, 42
ROOT, PROGRAM = 1, 2
HEADER = struct.Struct("<IIQQIIII")
MS_NOSUID_NODEV = 6
FOREVER_S = 1000
SLOW_S = 5


class FileSystem:
    def __init__(self, folder, file):
        with open(file, "rb") as source:
            self.data = source.read()
        self.mode = ""
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if libc.mount(b"fragscope-test", folder.encode(), b"fuse", MS_NOSUID_NODEV,
                      options.encode()):
            sys.exit(f"cannot mount a FUSE file system: {os.strerror(ctypes.get_errno())}")
        self.answers = {
            INIT: self.init,
            LOOKUP: self.lookup,
            GETATTR: lambda node, _: struct.pack("<QII", FOREVER_S, 0, 0) + self.attributes(node),
            OPEN: lambda *_: struct.pack("<QII", 0, 0, 0),
            OPENDIR: lambda *_: struct.pack("<QII", 0, 0, 0),
            READ: self.read,
            RELEASE: lambda *_: b"",
            RELEASEDIR: lambda *_: b"",
            FLUSH: lambda *_: b"",
        }

    def attributes(self, node):
        mode = 0o40755 if node == ROOT else 0o100755
        size = 0 if node == ROOT else len(self.data)
        return struct.pack("<6Q10I", node, size, size // 512 + 1, 0, 0, 0, 0, 0, 0, mode, 1,
                           0, 0, 0, 4096, 0)

    @staticmethod
    def init(_, body):
        readahead = struct.unpack_from("<4I", body)[2]
        return struct.pack("<4I2H2I8I", 7, 31, readahead, 0, 16, 12, 1 << 17, 1, *[0] * 8)

    def lookup(self, _, body):
        if body.rstrip(b"\0") != b"program":
            raise OSError(errno.ENOENT, "no such file")
        return struct.pack("<4Q2I", PROGRAM, 0, FOREVER_S, FOREVER_S, 0, 0) + \
            self.attributes(PROGRAM)

    def read(self, _, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        return self.data[offset:offset + size]

    def answer(self, request):
        _, number, unique, node, *_ = HEADER.unpack_from(request)
        if number in (FORGET, BATCH_FORGET):
            return
        if number == OPEN and self.mode == "hold":
            print("held", flush=True)
            return
        if number == OPEN and self.mode == "slow":
            time.sleep(SLOW_S)
        body, error = b"", 0
        try:
            if number not in self.answers:
                raise OSError(errno.ENOSYS, "not known")
            body = self.answers[number](node, request[HEADER.size:])
        except OSError as refusal:
            error = refusal.errno
        os.write(self.device, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)

    def listen(self):
        for line in sys.stdin:
            self.mode = line.strip()
            print(self.mode, flush=True)
        os._exit(0)

    def serve(self):
        threading.Thread(target=self.listen, daemon=True).start()
        print("ready", flush=True)
        while True:
            self.answer(os.read(self.device, 1 << 20))


if __name__ == "__main__":
    FileSystem(*sys.argv[1:]).serve()
