"""`python -m bench NAME …` in, the measurement of that name out."""

import argparse
import importlib
import sys
from pathlib import Path


def main() -> None:
    here = Path(__file__).parent
    names = sorted(path.stem for path in here.glob("[a-z]*.py"))
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measurements against peers, side by side.")
    parser.add_argument("name", choices=names, help="what to measure; `python -m bench NAME --help` says more")
    chosen = parser.parse_args(sys.argv[1:2]).name
    importlib.import_module(f"bench.{chosen}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
