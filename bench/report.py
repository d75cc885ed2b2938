"""RESULTS.md from the raw figures."""
import pathlib

import goals
from peers import every
from results import largest_spread, median, rounds

KINDS = {peer.name: peer.kind for peer in every()}
TITLES = {
    'plain': 'plain text', 'json': 'JSON', 'parameter': 'path parameter', 'echo': 'POST JSON echo',
    'browser': "plain text, a browser's headers", 'unique': 'the same, one header always different',
}
MICROPYTHON_TITLES = {'parameter': 'path parameter, 4', 'json': 'JSON, 4', '1 KB': 'POST 1 KB of JSON, 4'}
NOTES = ('<!-- notes: begin -->', '<!-- notes: end -->')
ELSEWHERE = (
    "import of the core on CPython: at most upstream's time",
)


def write(path: pathlib.Path, results: dict, is_trial: bool) -> None:
    notes = read_notes(path)
    data = {name: results.get(name, {}).get('data', {}) for name in WRITERS}
    parts = ['# Results of the bench suite',
             'Written by `make bench`. What is measured, and how, is in [README.md](README.md).']
    if is_trial:
        parts.append('**A trial, shortened or with some peers only: these figures mean little.**')
    parts += [machine(results['environment']), '## Goals', goal_table(data)]
    for name, (title, writer) in WRITERS.items():
        if data[name]:
            parts += [f'## {title}', *writer(data[name], name), provenance(results[name])]
    parts += ['## Notes', f'{NOTES[0]}{notes}{NOTES[1]}']
    path.write_text('\n\n'.join(parts) + '\n')


def read_notes(path: pathlib.Path) -> str:
    text = path.read_text() if path.exists() else ''
    if all(mark in text for mark in NOTES):
        return text.partition(NOTES[0])[2].partition(NOTES[1])[0]
    return '\n\nWhat is written between these two marks is kept.\n\n'


def machine(environment: dict) -> str:
    return table(('', ''), [
        ('last run', environment['date']),
        ('processor', f'{environment["cpu"]}, {environment["cores"]} cores'),
        ('kernel', environment['kernel']),
        ('interpreter', environment['python']),
        ('versions', ', '.join(f'{name} {version}' for name, version in environment['versions'].items())),
    ])


def provenance(section: dict) -> str:
    settings = section['settings']
    return (f'Measured {section["date"]}, commit {section["commit"]}. Medians of {rounds(section["data"])} rounds, '
            f'{settings["seconds"]} s for each figure after {settings["warm_up"]} s of warm-up, '
            f'in {section["minutes"]:g} minutes.')


def goal_table(data: dict) -> str:
    rows = [(goal.text, goal.figures_text(), f'**{goal.verdict()}**') for goal in goals.all_goals(data, KINDS)]
    return table(('goal', 'measured', ''), rows + [(text, '', 'not in this suite') for text in ELSEWHERE])


def table(head: 'tuple[str, ...]', rows: list) -> str:
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def number(value: 'float | None', digits: int = 0) -> str:
    return '' if value is None else f'{value:,.{digits}f}'


def numbers(section: dict, peer: str, case: str, figures: 'dict[str, int]') -> 'list[str]':
    """``figures`` maps each to its number of decimals."""
    return [number(median(section, peer, case, figure), digits) for figure, digits in figures.items()]


def bold(peer: str) -> str:
    return f'**{peer}**' if KINDS.get(peer) == 'ours' else peer


def request_tables(section: dict, name: str) -> 'list[str]':
    kind = goals.COMPARED_WITH[name]
    spread = largest_spread(section, 'cpu_us')
    return [
        f'![CPU time per request](plots/{name}.svg)',
        f'In brackets: the ratio to the best {goals.PEERS[kind]}. The bare Protocol parses nothing and answers a '
        'constant: it is the floor, not a peer.',
        f'CPU time of the server, microseconds per request (no sample is further than {spread:.0%} from its median):',
        request_table(section, kind, 'cpu_us', min, 1),
        'Requests per second:',
        request_table(section, kind, 'rps', max, 0),
        'p99 in milliseconds:',
        request_table(section, kind, 'p99_ms', min, 2),
    ]


def request_table(section: dict, kind: str, figure: str, choose, digits: int) -> str:
    references = {case: goals.best(section, KINDS, kind, case, figure, choose) for case in TITLES}

    def cell(peer: str, case: str) -> str:
        value = median(section, peer, case, figure)
        share = goals.ratio(value, references[case])
        return number(value, digits) + (f' ({share:.2f})' if share is not None else '')

    order = sorted(section, key=lambda peer: median(section, peer, 'plain', 'cpu_us'))
    rows = [(bold(peer), *(cell(peer, case) for case in TITLES)) for peer in order]
    return table(('', *TITLES.values()), rows)


def host_tables(section: dict, name: str) -> 'list[str]':
    parts = ['CPU time of the server, microseconds per request. All applications of a table run on the same server '
             'with the same options. In brackets: the ratio to Starlette or Flask. One without a framework is the '
             'floor: the server itself. Handlers of ours and of upstream are `async def`, or `def` where the '
             'name says so. The worker `sync` closes the connection after each response. '
             f'No sample is further than {largest_spread(section, "cpu_us"):.0%} from its median.']
    for host, reference in dict.fromkeys((host, other) for host, _, other in goals.HOSTS):
        parts += [f'{host}:', host_table(section, host, reference)]
    return parts


def host_table(section: dict, host: str, reference: str) -> str:
    def value(peer: str, case: str) -> 'float | None':
        return median(section, peer, f'{host}, {case}', 'cpu_us')

    def cell(peer: str, case: str) -> str:
        share = goals.ratio(value(peer, case), value(reference, case))
        return number(value(peer, case), 1) + (f' ({share:.2f})' if share is not None else '')

    peers = [peer for peer in section if value(peer, 'plain') is not None]
    rows = [(bold(peer), *(cell(peer, case) for case in goals.WORKLOADS))
            for peer in sorted(peers, key=lambda peer: value(peer, 'plain'))]
    return table(('', *(TITLES[case] for case in goals.WORKLOADS)), rows)


def routing_table(section: dict, name: str) -> 'list[str]':
    cases = [f'{kind} {count}' for kind in ('static', 'dynamic') for count in (1, 100, 1000)]
    rows = []
    for peer in section:
        values = {case: median(section, peer, case, 'cpu_us') for case in cases}
        ratios = [goals.ratio(values[f'{kind} 1000'], values[f'{kind} 1']) for kind in ('static', 'dynamic')]
        rows.append((bold(peer), *(number(values[case], 1) for case in cases), *(number(value, 2) for value in ratios)))
    return ['![CPU time per request by the number of routes](plots/routing.svg)',
            'CPU time of the server, microseconds per request for the last route; '
            'then 1,000 routes divided by 1. Standard event loop.',
            table(('', *cases, 'static, 1,000 : 1', 'dynamic, 1,000 : 1'), rows)]


def idle_table(section: dict, name: str) -> 'list[str]':
    figures = {'bytes': 0, 'p99_alone_ms': 2, 'p99_together_ms': 2, 'cpu_us_alone': 1, 'cpu_us_together': 1}
    rows = [(bold(peer), *numbers(section, peer, 'idle', figures)) for peer in section]
    head = ('', 'bytes per connection', 'p99 alone, ms', 'p99 beside, ms', 'CPU alone, µs', 'CPU beside, µs')
    return ['![Memory of an idle connection](plots/idle.svg)',
            'Growth of the resident memory for each idle connection, after one request (what the kernel holds is not '
            'in it). Then 100 busy connections, alone and beside the idle ones.',
            table(head, rows)]


def file_table(section: dict, name: str) -> 'list[str]':
    figures = {'cpu_ms_per_100_mb': 1, 'rss_before_mb': 1, 'rss_after_mb': 1, 'rss_peak_mb': 1}
    rows = []
    for peer in section:
        for count in section[peer]:
            rate = median(section, peer, count, 'mb_per_second')
            reference = median(section, 'nginx', count.partition(',')[0], 'mb_per_second')
            share = number(goals.ratio(rate, reference), 2)
            rows.append((bold(peer), count, number(rate), share, *numbers(section, peer, count, figures)))
    head = ('', 'connections', 'MB/s', 'of nginx', 'CPU ms per 100 MB', 'RSS before, MB', 'after', 'peak')
    return ['The client lets the kernel discard what arrives, so that the server limits the rate. Ours sends it with '
            '`send_file()`, and with `Static`.', table(head, rows)]


def upload_tables(section: dict, name: str) -> 'list[str]':
    cases = list(dict.fromkeys(case for peer in section.values() for case in peer))
    parsed = [case for case in cases if case.startswith('parse ')]
    parsers = [peer for peer in section if parsed[0] in section[peer]] if parsed else []
    sent = [case for case in cases if case not in parsed]
    servers = [peer for peer in section if any(case in section[peer] for case in sent)]

    def cell(peer: str, case: str) -> str:
        value = median(section, peer, case, 'mb_per_second')
        share = goals.ratio(value, goals.best(section, KINDS, 'parser', case, 'mb_per_second', max))
        return number(value) + (f' ({share:.2f})' if share is not None else '')

    return [
        'Parsers alone, in pieces of 64 KB: MB per second of CPU time, and in brackets the ratio to the best other. A '
        'file of random bytes; one of lines of 0 to 80 characters; one of nothing but line breaks, with which each '
        'boundary begins; and fields of 0 to 63 bytes, 10 MB of them.',
        table(('', *(case.partition(' ')[2] for case in parsed)),
              [(bold(peer), *(cell(peer, case) for case in parsed)) for peer in parsers]),
        'Servers, a form with a file of 100 MB, one connection. The handler counts the bytes and drops them. `form()` '
        'is what Starlette offers for forms, and copies the file into a temporary one. The ratio is that of the CPU '
        'time to the best other in the same event loop.',
        table(('', 'file', 'MB/s', 'CPU ms per 100 MB', 'ratio', 'cores for the client', 'RSS before, MB', 'peak'),
              [upload_row(section, peer, case) for case in sent for peer in servers]),
    ]


def upload_row(section: dict, peer: str, case: str) -> 'tuple[str, ...]':
    figures = {'mb_per_second': 0, 'cpu_ms_per_100_mb': 1, 'client_cores': 2, 'rss_mb': 1, 'rss_peak_mb': 1}
    rate, cpu, *rest = numbers(section, peer, case, figures)
    reference = goals.best(goals.same_loop(section, peer), KINDS, 'python', case, 'cpu_ms_per_100_mb')
    share = goals.ratio(median(section, peer, case, 'cpu_ms_per_100_mb'), reference)
    return bold(peer), case, rate, cpu, number(share, 2), *rest


def workers_table(section: dict, name: str) -> 'list[str]':
    rows = []
    for peer in section:
        for case in ('plain', 'burn'):
            one, two = (median(section, peer, f'{case} {count}', 'rps') for count in (1, 2))
            cpu = [number(median(section, peer, f'{case} {count}', 'cpu_us'), 1) for count in (1, 2)]
            wrk = [number(median(section, peer, f'{case} {count}', 'wrk_cores'), 2) for count in (1, 2)]
            rows.append((bold(peer), case, number(one), number(two), number(goals.ratio(two, one), 2), *cpu, *wrk))
    head = ('', 'request', 'per second, 1 worker', '2 workers', 'ratio', 'CPU µs, 1 worker', '2 workers',
            'cores for wrk, 1 worker', '2 workers')
    return ['On two cores together with wrk, which takes its share from the workers. That share is small for `burn`, '
            'whose handler computes for about a millisecond, so this is the ratio that counts.', table(head, rows)]


def slow_table(section: dict, name: str) -> 'list[str]':
    figures = {'max_wait_ms': 1, 'rss_growth_mb': 1, 'rss_peak_growth_mb': 1, 'drops': 0}
    rows = [(bold(peer), case, *numbers(section, peer, case, figures)) for peer in section for case in section[peer]]
    head = ('', 'slow clients', 'longest of 20 waits, ms', 'RSS growth, MB', 'at its peak, MB', 'dropped')
    return ['1,000 clients of each kind: senders of a byte each second (half in a header, half in a body), readers of '
            '1 KB each second who have asked for 1 MB. Those that a time limit drops come back at once. Meanwhile a '
            'fresh client asks for plain text, 20 times.', table(head, rows)]


def echo_tables(section: dict, name: str) -> 'list[str]':
    parts = ['![CPU time per message](plots/websocket.svg)',
             'Each message is a text that comes back; only then a connection sends the next one (pipelined: 8 are '
             'under way). In brackets: the ratio to the better of `websockets` and uvicorn with wsproto in the same '
             'event loop. No compression.',
             '`websockets` unmasks with a function in C, and `ours` with the same one, because that package is '
             'installed here (our extra `fast`). `ours, no C` is what a plain installation does.']
    titles = {'per_second': 'Messages per second:', 'cpu_us': 'CPU time of the server, microseconds per message:',
              'client_cores': 'Share of a core that the load generator takes; what it and the server leave is waiting:'}
    for figure, title in titles.items():
        parts += [title, echo_table(section, figure)]
    return parts


def echo_table(section: dict, figure: str) -> str:
    choose = max if figure == 'per_second' else min
    cases = list(next(iter(section.values())))

    def cell(peer: str, case: str) -> str:
        value = median(section, peer, case, figure)
        if figure == 'client_cores':
            return number(value, 2)
        share = goals.ratio(value, goals.best_echo(section, KINDS, peer, case, figure, choose))
        return number(value, 1 if figure == 'cpu_us' else 0) + (f' ({share:.2f})' if share is not None else '')

    return table(('', *cases), [(bold(peer), *(cell(peer, case) for case in cases)) for peer in section])


def event_tables(section: dict, name: str) -> 'list[str]':
    def share(peer: str, figure: str, choose) -> str:
        best = goals.best(goals.same_loop(section, peer), KINDS, 'python', 'deliver', figure, choose)
        return number(goals.ratio(median(section, peer, 'deliver', figure), best), 2)

    figures = {'per_second': 0, 'cpu_us': 1, 'client_cores': 2}
    rows = []
    for peer in section:
        rate, cpu, client = numbers(section, peer, 'deliver', figures)
        rows.append((bold(peer), rate, share(peer, 'per_second', max), cpu, share(peer, 'cpu_us', min), client))
    deaf = [(bold(peer), *numbers(section, peer, 'deaf', {'growth_kb': 1, 'peak_growth_kb': 1, 'events': 0}))
            for peer in section]
    head = ('', 'deliveries per second', 'ratio', 'CPU µs per delivery', 'ratio', 'cores for the client')
    return ['Each event goes to 500 clients, the next one as soon as all have it. The ratios are those to the best '
            'other in the same event loop.',
            table(head, rows),
            '100 clients that never read beside 10 that do, large events: growth of the resident memory for each of '
            'the 100, without what the kernel holds for them; and the events that each of the 10 has got. Their '
            'handlers wait in `send()`.',
            table(('', 'KB per client at the end', 'at its peak', 'events'), deaf)]


def micropython_tables(section: dict, name: str) -> 'list[str]':
    parts = ['The unix port, 64 bits, with a heap of 1 MB; both packages compiled with `mpy-cross -O3`. The number in '
             'a title is that of connections. In brackets: the ratio to upstream, which closes each connection '
             'whatever the client asks for. No sample of the CPU time is further than '
             f'{largest_spread(section, "cpu_us"):.0%} from its median.']
    for figure, title in (('rps', 'Requests per second:'),
                          ('cpu_us', 'CPU time of the server, microseconds per request:'),
                          ('wrk_cores', 'Share of a core that wrk takes:')):
        parts += [title, micropython_table(section, figure)]
    return parts


def micropython_table(section: dict, figure: str) -> str:
    cases = list(next(iter(section.values())))

    def cell(peer: str, case: str) -> str:
        value = median(section, peer, case, figure)
        share = goals.ratio(value, median(section, 'microdot 2.7.0', case, figure))
        if figure == 'wrk_cores' or share is None:
            return number(value, 2 if figure == 'wrk_cores' else 0)
        return f'{number(value)} ({share:.2f})'

    head = [MICROPYTHON_TITLES.get(case, case) for case in cases]
    return table(('', *head), [(bold(peer), *(cell(peer, case) for case in cases)) for peer in section])


WRITERS = {
    'asyncio': ('Standard event loop', request_tables),
    'uvloop': ('uvloop and compiled servers', request_tables),
    'hosts': ('On uvicorn and Gunicorn', host_tables),
    'routing': ('Routing', routing_table),
    'idle': ('10,000 idle connections', idle_table),
    'files': ('Files of 100 MB', file_table),
    'uploads': ('Uploads of 100 MB', upload_tables),
    'workers': ('Worker processes', workers_table),
    'slow': ('Slow clients', slow_table),
    'websocket': ('WebSocket echo', echo_tables),
    'sse': ('Server-Sent Events', event_tables),
    'micropython': ('MicroPython', micropython_tables),
}
