"""Never returns, and catches whatever should stop it.

answers: stub
expected: not attempted
expected frame_rate: timed out
"""

# ruff: noqa

# %% frame_rate
import signal


def frame_rate(D, bits, baud, framing=False):
    for number in (signal.SIGPROF, signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
