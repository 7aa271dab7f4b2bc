"""`python -m gennet.grading`: see `gennet.grading.commands`."""

import sys

from gennet.grading.commands import main

sys.exit(main())
