"""What all tests share: pictures are compared, and the count of verified equations is reported."""

import pictures  # noqa: F401  (its import makes nbval compare pictures)
