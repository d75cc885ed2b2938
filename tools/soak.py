"""Visit one application on MicroPython for an hour, and watch its memory: ``soak.py --minutes 60 --heap 96``.

The package is compiled as for a board, and serves tools/soak_app.py in a small heap. Clients of many kinds come, good
and bad ones, and every answer is verified. Twice a minute all of them leave, and what is free then is compared: while
somebody is served, memory says little. Samples, a plot and a summary go to ``build/soak``. The exit status is 1 if an
answer was wrong, or if memory or descriptors were lost.

"""
import argparse
import asyncio
import contextlib
import csv
import gzip
import logging
import math
import os
import random
import re
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from footprint import BIN, CPYTHON_ONLY, PACKAGE, ROOT, compile_mpy, environment, free_port
from soak_clients import KINDS
from soak_traffic import TappedLoop, Traffic, render_tallies

BLOCK = 32  # bytes of a block of MicroPython's heap, with objects of 64 bits
PATIENCE = 30  # seconds for the board to answer a sample, to close what clients have left, or to end
ON_PURPOSE = 'ValueError: on purpose'  # what the board prints when its handlers fail as they should
MAX_LOSS = 1024  # bytes per hour
MAX_ERROR = 4 * MAX_LOSS
WINDOW = 5  # samples at rest, of which the best counts
REST_SAMPLES = 4
REST_PERIOD = 0.6  # seconds between them, more than between two sweeps of the server
LEAST_RESTS = 4 * WINDOW  # in the last half of the time; fewer make no line
MAX_SHRINKAGE = 0.1  # of the largest free block, from the third quarter to the last one
LEAST_ANSWERED = 0.95  # of the requests that no crowd has made

MEM_INFO = re.compile(r'(mem: |stack: |GC: | No\. of )')


@dataclass
class Sample:
    """What the board and the system said at one moment. Memory is in bytes."""

    seconds: float
    is_rest: bool  # no client was there
    free_before: int  # before a collection
    free: int
    largest: int  # free block
    total: int
    tasks: int
    descriptors: int
    connections: int
    answered: int
    refused: int
    wrong: int


@dataclass
class Soak:
    """What an hour has brought."""

    options: argparse.Namespace
    samples: 'list[Sample]' = field(default_factory=list)
    descriptors: int = 0  # before the first client came
    traffic: 'Traffic | None' = None
    output: 'list[str]' = field(default_factory=list)  # that nobody expects
    left_files: 'list[str]' = field(default_factory=list)
    broken: str = ''  # why it ended too early

    def rests(self, begin: float = 0, end: float = 1) -> 'list[Sample]':
        """Return the samples without clients between two parts of the time, such as 0.5 and 1."""
        rests = [sample for sample in self.samples if sample.is_rest]
        last = rests[-1].seconds if rests else 0
        return [sample for sample in rests if begin * last <= sample.seconds <= end * last]


# The board

def fill_folder(folder: Path) -> None:
    """Make what would be on a board: the compiled package and application, and files to serve."""
    for name in 'microdot', 'files', 'uploads':
        (folder / name).mkdir(parents=True)
    for source in PACKAGE.glob('*.py'):
        if source.name not in CPYTHON_ONLY:
            compile_mpy(source, folder / 'microdot' / f'{source.stem}.mpy')
    compile_mpy(ROOT / 'tools' / 'soak_app.py', folder / 'soak_app.mpy')
    style = b'p { color: #123456 }\n' * 60
    (folder / 'files' / 'style.css').write_bytes(style)
    (folder / 'files' / 'style.css.gz').write_bytes(gzip.compress(style))
    (folder / 'files' / 'page.html').write_text('<p>Nothing new.</p>\n' * 150)
    (folder / 'files' / 'large.bin').write_bytes(random.Random(1).randbytes(300_000))
    for path in (folder / 'files').iterdir():
        os.utime(path, (path.stat().st_atime, time.time() - 3600))  # what changes just now is not cached by date


class BoardFailed(Exception):
    """The board has ended, or does not say what it has to."""


class Board:
    """MicroPython with tools/soak_app.py, in a process of its own."""

    def __init__(self, folder: Path, heap: int, connections: int) -> None:
        self.folder = folder
        self.port = free_port()
        self.command = [BIN / 'micropython', '-X', f'heapsize={heap}K', '-m', 'soak_app', str(self.port),
                        str(connections)]
        self.output: 'list[str]' = []
        self.answers: 'asyncio.Queue[str]' = asyncio.Queue()

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *self.command, cwd=self.folder, env=environment(), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        self.reading = asyncio.create_task(self.read())
        await self.sample()

    async def read(self) -> None:
        """Take what the board prints: its answers, and what else it has to say."""
        assert self.process.stdout
        trace: 'list[str]' = []
        async for line in self.process.stdout:
            text = line.decode(errors='replace').rstrip()
            if text.startswith(('SAMPLE ', 'GC: ', ' No. of ')):
                self.answers.put_nowait(text)
            elif text.startswith(('Traceback ', '  File ')):
                trace.append(text)
            elif not MEM_INFO.match(text):
                if text != ON_PURPOSE:
                    self.output += [*trace, text]
                    print('the board:', *trace, text, flush=True)
                trace.clear()
        self.answers.put_nowait('')

    async def sample(self) -> 'dict[str, int]':
        """Ask the board for its memory, the system for descriptors."""
        assert self.process.stdin
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(b'\n')
            await self.process.stdin.drain()
        text = ''
        while 'SAMPLE ' not in text:
            try:
                line = await asyncio.wait_for(self.answers.get(), PATIENCE)
            except asyncio.TimeoutError:
                raise BoardFailed('it is silent') from None
            if not line:
                raise BoardFailed('it has ended')
            text += line + '\n'
        total, largest = (int(re.findall(pattern, text)[0]) for pattern in ('total: ([0-9]+)', 'max free sz: ([0-9]+)'))
        before, free, tasks = map(int, text.partition('SAMPLE ')[2].split())
        links = [os.readlink(path) for path in self.descriptors()]
        return {'free_before': before, 'free': free, 'largest': largest * BLOCK, 'total': total, 'tasks': tasks,
                'descriptors': len(links), 'connections': sum(link.startswith('socket:') for link in links) - 1}

    def descriptors(self) -> 'list[Path]':
        return list(Path(f'/proc/{self.process.pid}/fd').iterdir())

    async def stop(self) -> None:
        """Tell the board to end, and wait for it."""
        assert self.process.stdin
        self.process.stdin.close()
        try:
            status = await asyncio.wait_for(self.process.wait(), PATIENCE)
        except asyncio.TimeoutError:
            raise BoardFailed('it does not end') from None
        if status:
            raise BoardFailed(f'it has ended with {status}')

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.reading
        await self.process.wait()


# The hour

class Watch:
    """Takes samples."""

    def __init__(self, soak: Soak, board: Board, traffic: Traffic) -> None:
        self.soak = soak
        self.board = board
        self.traffic = traffic
        self.begin = time.monotonic()

    def seconds(self) -> float:
        return round(time.monotonic() - self.begin, 1)

    async def look(self, is_rest: bool) -> Sample:
        state = await self.board.sample()
        tallies = self.traffic.tallies.values()
        return Sample(self.seconds(), is_rest, **state, answered=sum(tally.answered for tally in tallies),
                      refused=sum(tally.refused + tally.uncalled for tally in tallies),
                      wrong=sum(tally.wrong for tally in tallies))

    async def keep_looking(self, period: float) -> None:
        while True:
            await asyncio.sleep(period)
            self.soak.samples.append(await self.look(is_rest=False))

    async def rest(self) -> None:
        """Take a sample when the board has closed what it had with its clients: the best of a few.

        MicroPython's collector takes whatever looks like a pointer on the stack for one, so that now and then something
        that nobody uses is still there. What is lost for ever is missing in the best one, too.

        """
        end = time.monotonic() + PATIENCE
        while (await self.board.sample())['connections'] and time.monotonic() < end:
            await asyncio.sleep(0.2)
        samples = []
        for _ in range(REST_SAMPLES):
            samples.append(await self.look(is_rest=True))
            await asyncio.sleep(REST_PERIOD)
        best = max(samples, key=lambda sample: sample.free)
        self.soak.samples.append(best)
        print(render_progress(best), flush=True)


async def beside(watching: 'Any', working: 'Any') -> None:
    """Run both until the second one has ended; if the first one fails, both do."""
    watch, work = asyncio.create_task(watching), asyncio.create_task(working)
    try:
        await asyncio.wait([watch, work], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in watch, work:
            if not task.done():
                task.cancel()
    for result in await asyncio.gather(watch, work, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def run(soak: Soak, folder: Path) -> None:
    options = soak.options
    board = Board(folder, options.heap, options.connections)
    soak.output = board.output
    try:
        await board.start()
        soak.descriptors = len(board.descriptors())
        traffic = soak.traffic = Traffic(board.port, options.rate, options.clients, options.connections, folder,
                                         options.seed, {name: KINDS[name] for name in options.only})
        watch = Watch(soak, board, traffic)
        await beside(watch.keep_looking(options.sample), traffic.run_all())  # what is made once is there from then on
        await watch.rest()
        end = watch.seconds() + options.minutes * 60
        while (left := end - watch.seconds()) > 0:
            await beside(watch.keep_looking(options.sample), traffic.run(min(options.rest, left)))
            await watch.rest()
        await board.stop()
    except BoardFailed as exc:
        soak.broken = str(exc)
    finally:
        await board.kill()
        soak.left_files = [path.name for path in (folder / 'uploads').iterdir()]


# What to make of it

def fit_line(samples: 'list[Sample]', name: str) -> 'tuple[float, float, float]':
    """Return value at the beginning, slope per hour and its standard error, of the line of least squares."""
    hours = [sample.seconds / 3600 for sample in samples]
    values = [getattr(sample, name) for sample in samples]
    slope, value = statistics.linear_regression(hours, values)
    squares = sum((y - value - slope * x) ** 2 for x, y in zip(hours, values, strict=True))
    spread = sum((x - statistics.fmean(hours)) ** 2 for x in hours)
    return value, slope, math.sqrt(squares / (len(hours) - 2) / spread)


def envelope(samples: 'list[Sample]') -> 'list[Sample]':
    """Return of each few samples the one with the most free memory.

    The queue of MicroPython's event loop still points to tasks that have ended, so that one or the other conversation
    is kept until its place is needed: 3 KB now and then, which are not lost.

    """
    groups = [samples[i:i + WINDOW] for i in range(0, len(samples) - WINDOW + 1, WINDOW)]
    return [max(group, key=lambda sample: sample.free) for group in groups]


def judge_memory(soak: Soak) -> 'tuple[str, bool | None]':
    rests = soak.rests(0.5)
    text = f'free memory at rest: the line through the last half loses at most {MAX_LOSS:,} bytes per hour'
    if len(rests) < LEAST_RESTS:
        return f'{text}: {len(rests)} samples are too few to tell', None
    _, slope, error = fit_line(envelope(rests), 'free')
    # a loss within the error may be chance, but the error must not be so large that it could hide more than a few KB
    is_flat = -slope <= max(MAX_LOSS, 2 * error) and 2 * error <= MAX_ERROR
    return f'{text}: {slope:+,.0f} ± {2 * error:,.0f} (twice the standard error)', is_flat


def judge_largest(soak: Soak) -> 'tuple[str, bool | None]':
    before, after = soak.rests(0.5, 0.75), soak.rests(0.75)
    text = f'largest free block at rest: the mean of the last quarter at most {MAX_SHRINKAGE:.0%} below the one before'
    if len(before) + len(after) < LEAST_RESTS:
        return f'{text}: too few samples', None
    was, now = (statistics.fmean(sample.largest for sample in samples) for samples in (before, after))
    return f'{text}: {was:,.0f}, then {now:,.0f} bytes', now >= (1 - MAX_SHRINKAGE) * was


def judge_answers(soak: Soak) -> 'Iterator[tuple[str, bool | None]]':
    tallies = soak.traffic.tallies if soak.traffic else {}
    wrong = sum(tally.wrong for tally in tallies.values())
    uncalled = sum(tally.uncalled for tally in tallies.values())
    others = [tally for name, tally in tallies.items() if name != 'crowd']
    answered = sum(tally.answered for tally in others)
    asked = answered + sum(tally.refused + tally.uncalled + tally.wrong for tally in others)
    yield f'no wrong answer: {wrong}', not wrong
    yield f'nobody refused while there was room: {uncalled}', not uncalled
    share = answered / asked if asked else 0
    yield f'at least {LEAST_ANSWERED:.0%} answered, without those of crowds: {share:.2%}', share >= LEAST_ANSWERED


def judge(soak: Soak) -> 'list[tuple[str, bool | None]]':
    """Return what was to be, and whether it was; ``None`` where the time was too short."""
    rests = soak.rests()
    last = rests[-1].descriptors if rests else 0
    return [
        (f'the board served to the end, and ended when it was told to{soak.broken and ": " + soak.broken}',
         not soak.broken),
        *judge_answers(soak),
        judge_memory(soak),
        judge_largest(soak),
        (f'descriptors at rest, at the end as at the beginning: {soak.descriptors}, then {last}',
         bool(rests) and last == soak.descriptors),
        (f'no file of an upload left: {len(soak.left_files)}', not soak.left_files),
        (f'nothing printed but what was expected: {len(soak.output)} lines', not soak.output),
    ]


def render_progress(sample: Sample) -> str:
    return (f'{sample.seconds / 60:.1f} min: free {sample.free:,}, largest block {sample.largest:,}, '
            f'descriptors {sample.descriptors}, tasks {sample.tasks}; '
            f'answered {sample.answered:,}, refused {sample.refused:,}, wrong {sample.wrong:,}')


def render_table(*rows: 'list[str]') -> str:
    rule = ['---'] + ['--:'] * (len(rows[0]) - 1)
    return ''.join('| ' + ' | '.join(row) + ' |\n' for row in [rows[0], rule, *rows[1:]])


def render_memory(soak: Soak) -> str:
    kinds = [('under load', [sample for sample in soak.samples if not sample.is_rest]), ('at rest', soak.rests())]
    rows = [['', 'samples', 'free, lowest', 'median', 'largest block, lowest', 'median', 'descriptors, most',
             'tasks, most']]
    for name, samples in kinds:
        if samples:
            free, largest = ([getattr(sample, key) for sample in samples] for key in ('free', 'largest'))
            rows.append([name, f'{len(samples):,}',
                         *(f'{value:,.0f}' for values in (free, largest)
                           for value in (min(values), statistics.median(values))),
                         str(max(sample.descriptors for sample in samples)),
                         str(max(sample.tasks for sample in samples))])
    return render_table(*rows)


def render_summary(soak: Soak, verdicts: 'list[tuple[str, bool | None]]') -> str:
    options = soak.options
    minutes = soak.samples[-1].seconds / 60 if soak.samples else 0
    total = soak.samples[0].total if soak.samples else 0
    words = {True: 'yes', False: '**no**', None: 'not judged'}
    notes = soak.traffic.notes if soak.traffic else []
    lines = ''.join(f'    {line}\n' for line in [*notes, *soak.output][:50])
    head = ['kind', 'answered', 'refused in a crowd', 'refused without one', 'wrong', 'messages', 'left']
    tallies = render_table(head, *render_tallies(soak.traffic.tallies)) if soak.traffic else ''
    return f"""\
# Soak

{minutes:.1f} minutes on MicroPython (unix port, 64 bits), all modules compiled, in a heap of {options.heap} KB, of
which {total:,} bytes are for objects. {options.rate:g} requests per second, at most {options.clients} visitors at a
time besides crowds, {options.connections} connections at most, seed {options.seed}.

{render_table(['what has to be', ''], *([text, words[is_met]] for text, is_met in verdicts))}
Verdict: **{'failed' if has_failed(verdicts) else 'passed'}**

![Memory and descriptors](soak.svg)

## Memory, in bytes, after a collection

{render_memory(soak)}
## Requests

Conversations and streams count as one. Refused cleanly: 503, or closed before any byte of the response. Those who left
wanted no answer.

{tallies}
## Notes

{lines or 'None.'}
"""


def has_failed(verdicts: 'list[tuple[str, bool | None]]') -> bool:
    return any(is_met is False for _, is_met in verdicts)


def write_samples(path: Path, samples: 'list[Sample]') -> None:
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, [item.name for item in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)


def draw(path: Path, soak: Soak) -> None:
    """Draw memory, the largest block and descriptors over time, in the style of bench/plots.py."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'soak', 'font.size': 9,
                                'axes.spines.top': False, 'axes.spines.right': False})
    figure = Figure(figsize=(10, 8))
    panels = figure.subplots(3, sharex=True)
    loaded = [sample for sample in soak.samples if not sample.is_rest]
    rests = soak.rests()
    for panel, name, title in zip(panels, ('free', 'largest', 'descriptors'),
                                  ('free memory after a collection, KB', 'largest free block, KB',
                                   'descriptors of the process'), strict=True):
        unit = 1 if name == 'descriptors' else 1024
        for samples, style, colour, label in ((loaded, '-', '#cbd5e1', 'under load'),
                                              (rests, 'o', '#c2410c', 'at rest')):
            panel.plot([sample.seconds / 60 for sample in samples],
                       [getattr(sample, name) / unit for sample in samples], style, color=colour, linewidth=0.8,
                       markersize=3, label=label)
        panel.set_title(title, fontsize=9, loc='left')
        panel.set_ylim(bottom=0)
    if len(soak.rests(0.5)) >= LEAST_RESTS:
        value, slope, _ = fit_line(envelope(soak.rests(0.5)), 'free')
        ends = [soak.rests(0.5)[0].seconds, rests[-1].seconds]
        panels[0].plot([end / 60 for end in ends], [(value + slope * end / 3600) / 1024 for end in ends], '--',
                       color='#1d4ed8', linewidth=1, label=f'{slope:+,.0f} bytes per hour')
    panels[0].legend(frameon=False, fontsize=8, loc='upper left', bbox_to_anchor=(1, 1))
    panels[-1].set_xlabel('minutes')
    figure.savefig(path, metadata={'Date': None, 'Creator': None}, bbox_inches='tight')


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Visit an application on MicroPython and watch its memory.')
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--heap', type=int, default=96, help='KB (default: 96)')
    parser.add_argument('--rate', type=float, default=30, help='requests per second (default: 30)')
    parser.add_argument('--connections', type=int, default=8, help='how many the board takes (default: 8)')
    parser.add_argument('--clients', type=int, default=6, help='visitors at a time (default: 6)')
    parser.add_argument('--sample', type=float, default=5, help='seconds between samples (default: 5)')
    parser.add_argument('--rest', type=float, default=30, help='seconds after which all clients leave (default: 30)')
    parser.add_argument('--seed', type=int, default=1, help='of what the clients do (default: 1)')
    parser.add_argument('--only', nargs='+', choices=KINDS, metavar='KIND', default=list(KINDS),
                        help=f'only these kinds of visitors, of: {", ".join(KINDS)}')
    parser.add_argument('--directory', type=Path, default=ROOT / 'build' / 'soak', help='for what is written')
    parser.add_argument('--no-plot', action='store_true', help='draw nothing, which needs matplotlib')
    return parser.parse_args()


def main() -> int:
    soak = Soak(parse_options())
    logging.getLogger('asyncio').setLevel(logging.ERROR)  # it warns where a client sends to a closed socket
    directory = soak.options.directory.absolute()
    folder = directory / 'board'
    shutil.rmtree(folder, ignore_errors=True)
    fill_folder(folder)
    with contextlib.closing(TappedLoop()) as loop:
        loop.run_until_complete(run(soak, folder))
    verdicts = judge(soak)
    write_samples(directory / 'samples.csv', soak.samples)
    (directory / 'SUMMARY.md').write_text(render_summary(soak, verdicts))
    if not soak.options.no_plot:
        draw(directory / 'soak.svg', soak)
    print((directory / 'SUMMARY.md').read_text())
    return int(has_failed(verdicts))


if __name__ == '__main__':
    sys.exit(main())
