"""Calls home, and whoever listens on this machine; ends its process if anybody answers.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
import os
import socket

for kind, address in [
    (socket.AF_INET, ("127.0.0.1", 48_613)),
    (socket.AF_INET, ("192.0.2.1", 80)),
    (socket.AF_UNIX, "\0gennet-test"),
]:
    with socket.socket(kind) as line:
        line.settimeout(0.2)
        try:
            line.connect(address)
            os._exit(1)
        except OSError:
            pass
if set(os.listdir("/sys/class/net") if os.path.exists("/sys/class/net") else []) - {"lo"}:
    os._exit(1)
