"""The goals of the project that this suite measures, and whether they are met."""
from dataclasses import dataclass

from results import median

WORKLOADS = ('plain', 'json', 'parameter', 'echo')
OURS = ('ours', 'ours, uvloop')
COMPARED_WITH = {'asyncio': 'python', 'uvloop': 'compiled'}  # the kind of peer that the goal of a group names
ECHOES = {
    'ours': 'asyncio, masking in C (the extra `fast`)',
    'ours, no C': 'asyncio, nothing installed but ours',
    'ours, uvloop': 'uvloop, masking in C (the extra `fast`)',
    'ours, no C, uvloop': 'uvloop, masking in Python',
}
HOSTS = (  # the host, ours, and the framework to be ahead of
    ('uvicorn', 'ours', 'Starlette'),
    ('uvicorn, uvloop', 'ours', 'Starlette'),
    ('Gunicorn gthread', 'ours, def', 'Flask'),
    ('Gunicorn gthread', 'ours', 'Flask'),
    ('Gunicorn sync', 'ours, def', 'Flask'),
    ('Gunicorn sync', 'ours', 'Flask'),
)
PEERS = {'python': 'Python peer', 'compiled': 'compiled peer'}
KILOBYTE = 1024


@dataclass(frozen=True)
class Goal:
    """``figures`` maps what was measured to its value; all of them have to be within the limit."""

    text: str
    limit: float
    figures: 'dict[str, float | None]'
    is_least: bool = False
    unit: str = ''

    def verdict(self) -> str:
        values = list(self.figures.values())
        if not values or None in values:
            return 'not measured'
        return 'met' if all(self.holds(value) for value in values) else 'missed'

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.is_least else value <= self.limit

    def figures_text(self) -> str:
        return ', '.join(f'{name} {value:,.3g}{self.unit}' for name, value in self.figures.items() if value is not None)


def best(section: dict, kinds: 'dict[str, str]', kind: str, case: str, figure: str, choose=min) -> 'float | None':
    """The best of the peers of a kind, of which ours are none."""
    values = [median(section, peer, case, figure) for peer in section if kinds.get(peer) == kind]
    return choose((value for value in values if value is not None), default=None)


def ratio(value: 'float | None', reference: 'float | None') -> 'float | None':
    return value / reference if value is not None and reference else None


def all_goals(data: 'dict[str, dict]', kinds: 'dict[str, str]') -> 'list[Goal]':
    """``data`` has the samples of each scenario, an empty dict where it has not run."""
    return [
        *request_goals(data, kinds),
        *host_goals(data['hosts']),
        routing_goal(data['routing']),
        file_goal(data['files']),
        memory_goal(data['files']),
        parser_goal(data['uploads'], kinds),
        upload_memory_goal(data['uploads']),
        *idle_goals(data['idle']),
        workers_goal(data['workers']),
        slow_goal(data['slow']),
        *websocket_goals(data['websocket'], kinds),
        *micropython_goals(data['micropython']),
    ]


def request_goals(data: 'dict[str, dict]', kinds: 'dict[str, str]') -> 'list[Goal]':
    goals = []
    for group, limit, peer in (('asyncio', 0.7, 'ours'), ('uvloop', 1.3, 'ours, uvloop')):
        section = data[group]
        kind = COMPARED_WITH[group]
        ratios = {case: ratio(median(section, peer, case, 'cpu_us'), best(section, kinds, kind, case, 'cpu_us'))
                  for case in WORKLOADS}
        plain = {'plain text': ratios.pop('plain')}
        text = f'{group}, plain text, CPU time per request: at most {limit} of the best {PEERS[kind]}'
        goals.append(Goal(text, limit, plain))
        goals.append(Goal(f'{group}, JSON, path parameter, JSON echo: the same', limit, ratios))
    return goals


def host_goals(section: dict) -> 'list[Goal]':
    """Each host by itself: what it takes is the same for ours and for the other."""
    goals = []
    for host, peer, other in HOSTS:
        figures = {case: ratio(*(median(section, name, f'{host}, {case}', 'cpu_us') for name in (peer, other)))
                   for case in WORKLOADS}
        handlers = ' (handlers with `def`)' if peer.endswith('def') else ''
        goals.append(Goal(f'{host}{handlers}, CPU time per request: ahead of {other}', 1, figures))
    return goals


def routing_goal(section: dict) -> Goal:
    def growth(kind: str) -> 'float | None':
        return ratio(*(median(section, 'ours', f'{kind} {count}', 'cpu_us') for count in (1000, 1)))
    figures = {kind: growth(kind) for kind in ('static', 'dynamic')}
    return Goal('CPU per request with 1,000 routes against 1: at most 1.2 times', 1.2, figures)


def file_goal(section: dict) -> Goal:
    def rate(peer: str, case: str) -> 'float | None':
        return median(section, peer, case, 'mb_per_second')
    figures = {f'{peer}, {count}{how} at once': ratio(rate(peer, count + how), rate('nginx', count))
               for how in ('', ', Static') for peer in OURS for count in ('1', '8')}
    return Goal("`send_file` and `Static`, 100 MB: at least 0.7 of nginx's rate", 0.7, figures, is_least=True)


def memory_goal(section: dict) -> Goal:
    def growth(peer: str) -> 'float | None':
        peak, before = median(section, peer, '8', 'rss_peak_mb'), median(section, peer, '1', 'rss_before_mb')
        return peak - before if peak is not None and before is not None else None
    figures = {peer: growth(peer) for peer in OURS}
    return Goal('the same, memory flat: the peak at most 4 MB higher than before', 4, figures, unit=' MB')


def parser_goal(section: dict, kinds: 'dict[str, str]') -> Goal:
    figures = {case.partition(' ')[2]: ratio(median(section, 'ours', case, 'mb_per_second'),
                                             best(section, kinds, 'parser', case, 'mb_per_second', max))
               for case in section.get('ours', {}) if case.startswith('parse ')}
    text = 'parser of `multipart/form-data`, MB/s: at least those of `multipart` and `python-multipart`'
    return Goal(text, 1, figures, is_least=True)


def upload_memory_goal(section: dict) -> Goal:
    def growth(peer: str, case: str) -> 'float | None':
        peak, before = (median(section, peer, case, figure) for figure in ('rss_peak_mb', 'rss_mb'))
        return peak - before if peak is not None and before is not None else None
    figures = {f'{peer}, {case}': growth(peer, case) for peer in OURS for case in ('binary', 'text')}
    return Goal('a form with 100 MB, memory flat: the peak at most 4 MB higher than before', 4, figures, unit=' MB')


def idle_goals(section: dict) -> 'list[Goal]':
    size = {peer: ratio(median(section, peer, 'idle', 'bytes'), KILOBYTE) for peer in OURS}
    slower = {peer: ratio(*(median(section, peer, 'idle', f'p99_{when}_ms') for when in ('together', 'alone')))
              for peer in OURS}
    return [Goal('10,000 idle kept-alive connections: at most 8 KB each', 8, size, unit=' KB'),
            Goal('p99 of 100 busy connections beside them: at most 2 times that without', 2, slower)]


def workers_goal(section: dict) -> Goal:
    figures = {peer: ratio(*(median(section, peer, f'burn {count}', 'rps') for count in (2, 1))) for peer in OURS}
    return Goal('2 workers against 1, requests of a millisecond: at least 1.8 times', 1.8, figures, is_least=True)


def websocket_goals(section: dict, kinds: 'dict[str, str]') -> 'list[Goal]':
    """Each event loop by itself: a peer with another loop is no reference."""
    goals = []
    for peer, how in ECHOES.items():
        figures = {case: ratio(median(section, peer, case, 'per_second'), best_echo(section, kinds, peer, case))
                   for case in section.get(peer, {})}
        text = f'WebSocket echo, {how}, messages per second: ahead of `websockets` and of uvicorn with wsproto'
        goals.append(Goal(text, 1, figures, is_least=True))
    return goals


def best_echo(section: dict, kinds: 'dict[str, str]', peer: str, case: str, figure: str = 'per_second',
              choose=max) -> 'float | None':
    """The best of those that the goal names, with the event loop of ``peer``."""
    return best(same_loop(section, peer), kinds, 'named', case, figure, choose)


def same_loop(section: dict, peer: str) -> dict:
    """Those that have the event loop of ``peer``."""
    return {other: samples for other, samples in section.items() if other.endswith('uvloop') == peer.endswith('uvloop')}


def slow_goal(section: dict) -> Goal:
    waits = {peer: [median(section, peer, case, 'max_wait_ms') for case in section.get(peer, {})] for peer in OURS}
    figures = {peer: max(values) / 1000 if values else None for peer, values in waits.items()}
    text = '1,000 slow senders and 1,000 slow readers: a fresh client is answered within a second'
    return Goal(text, 1, figures, unit=' s')


def micropython_goals(section: dict) -> 'list[Goal]':
    goals = []
    for how, least, text in (('keep-alive', 3, 'kept-alive connections'), ('close', 1.5, 'closed after each response')):
        figures = {f'{count} at a time': ratio(*(median(section, peer, f'{how}, {count}', 'rps')
                                                 for peer in ('ours', 'microdot 2.7.0'))) for count in (4, 1)}
        text = f"MicroPython, requests per second, {text}: at least {least} times upstream's"
        goals.append(Goal(text, least, figures, is_least=True))
    return goals
