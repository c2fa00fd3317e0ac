"""The mutation score of the reference firmware (mutation/score.py): mutation_score.py --help."""

import sys

from mutation.score import main

if __name__ == "__main__":
    sys.exit(main())
