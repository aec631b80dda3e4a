# SPDX-License-Identifier: Apache-2.0
# `python -m treering`: what belongs to Python rather than to the tool `treering`.
from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

_FAILED, _INTERRUPTED = 1, 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m treering",
        description="Conversions that need no code of the training program.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    bring = commands.add_parser(
        "import",
        help="make checkpoints of treering of those that Orbax wrote",
        description="Makes checkpoints of treering of those that Orbax wrote. Needs no Orbax.",
        epilog="Exit status: 0 all done; 1 something could not be read or written, and what was imported"
        " before stays; 2 wrong arguments; 130 interrupted.",
    )
    bring.add_argument("source", metavar="SRC", help="folder of an Orbax manager, step or item")
    bring.add_argument(
        "destination",
        metavar="DST",
        help="a file if it ends in .ring (one step), else a store's directory",
    )
    bring.add_argument(
        "--steps", type=step_numbers, metavar="N,…", help="only these steps of a manager's folder"
    )
    bring.add_argument(
        "--step", type=step_number, metavar="N", help="number for a step that has none"
    )
    bring.add_argument(
        "--item", action="append", metavar="NAME", help="only this item; may be repeated"
    )
    bring.add_argument(
        "--existing", choices=("error", "skip", "overwrite"), default="error",
        help="what to do with steps that DST has already (default: error)",
    )  # fmt: skip
    bring.add_argument("--quiet", action="store_true", help="print errors only")
    return parser


def step_number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("steps are not negative")
    return number


def step_numbers(text: str) -> list[int]:
    return [step_number(part) for part in text.split(",")]


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, 4)
    return f"{count / 1024**power:.1f} {'_KMGT'[power]}iB"


def _import(arguments: argparse.Namespace) -> int:
    from . import interop

    def say(done: interop.Imported) -> None:
        what = "checkpoint" if done.step is None else f"step {done.step}"
        if done.skipped:
            print(f"{what}: is there already, left alone", flush=True)
        else:
            arrays = f"{done.arrays} array" + "s" * (done.arrays != 1)
            print(f"{what}: {', '.join(done.items)}; {arrays}, {_size(done.nbytes)}", flush=True)

    done = interop.import_orbax(
        arguments.source, arguments.destination, steps=arguments.steps, step=arguments.step,
        items=arguments.item, existing=arguments.existing, report=None if arguments.quiet else say,
    )  # fmt: skip
    if not arguments.quiet:
        count = sum(not entry.skipped for entry in done)
        print(f"imported {count} checkpoint{'s' * (count != 1)} into {arguments.destination}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; the exit status. Errors are one line on stderr."""
    parsed = _parser().parse_args(arguments)

    def warn(message: object, *_: object, **__: object) -> None:
        print(f"treering: warning: {message}", file=sys.stderr)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = warn
            return _import(parsed)
    except KeyboardInterrupt:
        print("treering: interrupted; what was imported before stays", file=sys.stderr)
        return _INTERRUPTED
    except (OSError, ValueError, LookupError, NotImplementedError, TypeError, MemoryError) as error:
        print(f"treering: error: {error}", file=sys.stderr)
        return _FAILED


if __name__ == "__main__":
    sys.exit(main())
