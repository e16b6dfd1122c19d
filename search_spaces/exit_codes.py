"""How the programs of this project end, for the shell that started them."""

import signal

SUCCESS = 0
# What was asked for could not be done: a full disk, a store that is gone, a training that diverges.
FAILURE = 1
# What was asked for is wrong; the program has said what it expected.
MISTAKE = 2
# Ctrl-C, as shells have it: 128 and the number of the signal.
INTERRUPTED = 130
# Ended by SIGTERM.
TERMINATED = 128 + signal.SIGTERM
# The exit code after each signal that ends a search or a training in order: 128 and its number, as shells have it. Job
# systems send SIGUSR1 in the place of SIGTERM, and a terminal that is closed SIGHUP.
SIGNAL_EXIT_CODES = {
    signal.SIGINT: INTERRUPTED,
    signal.SIGTERM: TERMINATED,
    signal.SIGUSR1: TERMINATED,
    signal.SIGHUP: 128 + signal.SIGHUP,
}
