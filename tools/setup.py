"""Set up this folder and run a command in it: `python tools/setup.py [dev] [node] [cdk] [-- command ...]`.

This file only looks at the Python that runs it, in words that every Python from 2.7 on can read, so that an old one
gets a sentence and not a syntax error. The work is in install.py.
"""

import os
import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Dutybound needs Python 3.11 or newer, but %s is Python %d.%d: install a newer one and name it, for example"
        " make synth PYTHON=python3.12" % ((sys.executable,) + tuple(sys.version_info[:2]))
    )

if os.name != "posix":
    sys.exit("The make targets run on Linux and macOS: on Windows, use them in WSL.")

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools.install import main

sys.exit(main(sys.argv[1:]))
