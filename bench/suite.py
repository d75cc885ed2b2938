"""Runs scenarios and brings the results up to date. Imported by run.py inside the virtual environment."""
import argparse
import sys
import time
from dataclasses import asdict

import environment
import plots
import report
import results
from measure import Failed
from peers import names
from scenarios import files, hosts, idle, micropython, requests, routing, slow, sse, uploads, websocket, workers
from settings import QUICK, Settings

SCENARIOS = {
    'asyncio': requests.run_asyncio,
    'uvloop': requests.run_uvloop,
    'hosts': hosts.run,
    'routing': routing.run,
    'idle': idle.run,
    'files': files.run,
    'uploads': uploads.run,
    'workers': workers.run,
    'slow': slow.run,
    'websocket': websocket.run,
    'sse': sse.run,
    'micropython': micropython.run,
}


def run(options: argparse.Namespace) -> None:
    unknown = set(options.peers) - {*names(), 'nginx'}
    if unknown:
        sys.exit(f'unknown peers: {"; ".join(unknown)}. There are: {"; ".join(names())}; nginx')
    # Trials are kept apart from the published figures.
    is_trial = bool(options.quick or options.peers)
    directory = environment.BENCH / 'build' if is_trial else environment.BENCH
    path = directory / 'results.json'
    known = results.load(path)
    for name in [] if options.report else options.only:
        measure(name, make_settings(options), known)
        results.save(path, known)
    report.write(directory / 'RESULTS.md', known, is_trial)
    plots.draw(directory / 'plots', known)
    print(f'wrote {directory.relative_to(environment.ROOT) / "RESULTS.md"}')


def make_settings(options: argparse.Namespace) -> Settings:
    given = {name: value for name in ('rounds', 'seconds') if (value := getattr(options, name)) is not None}
    return Settings(**{**(QUICK if options.quick else {}), **given, 'peers': tuple(options.peers)})


def measure(name: str, settings: Settings, known: dict) -> None:
    print(f'== {name}', flush=True)
    begin = time.monotonic()
    try:
        data = SCENARIOS[name](settings)
    except Failed as failure:
        sys.exit(f'{name}: {failure}')
    minutes = (time.monotonic() - begin) / 60
    known['environment'] = environment.describe()
    known[name] = {
        'date': known['environment']['date'],
        'commit': known['environment']['commit'],
        'minutes': round(minutes, 1),
        'settings': asdict(settings),
        'data': data,
    }
