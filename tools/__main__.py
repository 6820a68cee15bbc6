"""`python3 -m tools COMMAND`: says so on too old a Python, and takes Ctrl-C without a traceback.

This file alone is kept to what every Python 3 can read.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "The book needs Python 3.11 or newer; this is {}.{} ({}). Name another one: "
        "make PYTHON=python3.12, or py -3.12 -m tools on Windows.".format(
            sys.version_info[0], sys.version_info[1], sys.executable
        )
    )

try:
    from tools.commands import main

    code = main(sys.argv[1:])
except KeyboardInterrupt:
    print("\nStopped. What was finished is kept: the same command goes on from there.")
    code = 130
sys.exit(code)
