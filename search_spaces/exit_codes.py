"""How the programs of this project end, for the shell that started them."""

SUCCESS = 0
# What was asked for could not be done: a full disk, a store that is gone, a training that diverges.
FAILURE = 1
# What was asked for is wrong; the program has said what it expected.
MISTAKE = 2
# Ctrl-C, as shells have it: 128 and the number of the signal.
INTERRUPTED = 130
