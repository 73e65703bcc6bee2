"""`python -m jaxrl` is `jaxrl`."""

import sys

from jaxrl.cli.main import main

sys.exit(main())
