"""Measure this server against others, and write RESULTS.md: python bench/run.py --help"""
import argparse
import os
import resource
import sys

import environment

SCENARIOS = ('asyncio', 'uvloop', 'hosts', 'routing', 'idle', 'files', 'uploads', 'workers', 'slow', 'websocket', 'sse',
             'micropython')
OPEN_FILES = 15_000  # 10,000 idle connections, busy ones, and a margin


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measures this server against others.')
    parser.add_argument('--only', nargs='+', choices=SCENARIOS, metavar='NAME', default=SCENARIOS,
                        help=f'some of: {", ".join(SCENARIOS)}')
    parser.add_argument('--quick', action='store_true', help='one short round, to see that everything works')
    parser.add_argument('--rounds', type=int, help='rounds (default: 5)')
    parser.add_argument('--seconds', type=int, help='of each measurement (default: 3)')
    parser.add_argument('--peers', nargs='+', metavar='NAME', default=[], help='measure only these, into bench/build')
    parser.add_argument('--report', action='store_true', help='measure nothing, write the report again')
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    environment.require_tools()
    environment.install()
    if not os.path.samefile(sys.prefix, environment.VENV):
        os.execv(environment.PYTHON, [str(environment.PYTHON), *sys.argv])
    raise_open_files()
    import suite  # needs what has just been installed
    suite.run(options)


def raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES), max(hard, OPEN_FILES)))
    except ValueError:
        sys.exit(f'the limit of open files is {hard:,} and has to be {OPEN_FILES:,}: ulimit -Hn {OPEN_FILES}')


if __name__ == '__main__':
    main()
