"""A charon of others, which is run and not looked into."""

import os

CHARON = os.environ.get("DVTFAST_CHARON", "")
NO_CHARON = "DVTFAST_CHARON names no charon"
