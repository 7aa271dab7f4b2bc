"""Tries system calls that could lead out; ends its process if one is let through.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
import ctypes
import os
import resource

libc = ctypes.CDLL(None, use_errno=True)
tried = {
    "unshare": libc.unshare(0x10000000),
    "mount": libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
    "ptrace": libc.ptrace(16, 1, 0, 0),
    "setuid": libc.setuid(0),
    "chroot": libc.chroot(b"/tmp"),
    "keyctl": libc.syscall(250, 0, 0, 0, 0),
    "io_uring_setup": libc.syscall(425, 8, ctypes.create_string_buffer(120)),
    "shmget": libc.shmget(0, 1 << 20, 0o1600),
}
if any(result >= 0 for result in tried.values()):
    os._exit(1)
try:
    resource.setrlimit(resource.RLIMIT_NPROC, (10_000, 10_000))
    os._exit(1)
except (ValueError, OSError):
    pass
