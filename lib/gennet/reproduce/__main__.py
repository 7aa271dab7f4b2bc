"""Run experiments: ``python -m gennet.reproduce NAME``."""

import sys

from gennet.reproduce import main

sys.exit(main())
