"""The plots of RESULTS.md, as SVG."""
import pathlib

import matplotlib
from matplotlib.figure import Figure
from report import KINDS, TITLES
from results import median

COLOURS = {'ours': '#c2410c', 'python': '#64748b', 'compiled': '#0f766e', 'floor': '#cbd5e1',
           'named': '#1d4ed8'}
CASES = ('plain', 'json', 'parameter', 'echo')
COUNTS = (1, 100, 1000)


def draw(directory: pathlib.Path, results: dict) -> None:
    matplotlib.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'bench', 'font.size': 9,
                                'axes.spines.top': False, 'axes.spines.right': False})
    directory.mkdir(parents=True, exist_ok=True)
    for name, plot in PLOTS.items():
        section = results.get(name, {}).get('data')
        if section:
            figure = plot(section)
            figure.savefig(directory / f'{name}.svg', metadata={'Date': None, 'Creator': None}, bbox_inches='tight')


def plot_requests(section: dict) -> Figure:
    """One panel for each kind of request, the peers in the order of plain text."""
    peers = sorted(section, key=lambda peer: -median(section, peer, 'plain', 'cpu_us'))
    figure = Figure(figsize=(11, 0.32 * len(peers) + 1))
    panels = figure.subplots(1, len(CASES), sharey=True)
    for panel, case in zip(panels, CASES, strict=True):
        bars(panel, peers, [median(section, peer, case, 'cpu_us') for peer in peers], '{:.0f}')
        panel.set_title(TITLES[case], fontsize=9)
    figure.supxlabel('CPU time of the server, microseconds per request', fontsize=9)
    return figure


def bars(panel, peers: 'list[str]', values: list, label: str) -> None:
    drawn = panel.barh(peers, [value or 0 for value in values], color=[COLOURS[KINDS[peer]] for peer in peers])
    labels = [label.format(value) if value is not None else 'not measured' for value in values]
    panel.bar_label(drawn, labels, padding=2, fontsize=8)
    panel.margins(x=0.15)
    panel.tick_params(left=False)
    panel.spines['left'].set_visible(False)


def plot_routing(section: dict) -> Figure:
    figure = Figure(figsize=(7, 3.5))
    panel = figure.subplots()
    for peer, colour in zip(section, ('#c2410c', '#64748b', '#1d4ed8'), strict=False):
        for kind, style in (('static', '-'), ('dynamic', '--')):
            values = [median(section, peer, f'{kind} {count}', 'cpu_us') for count in COUNTS]
            panel.plot(COUNTS, values, style, color=colour, marker='o', markersize=3, label=f'{peer}, {kind}')
    panel.set(xscale='log', yscale='log', xlabel='routes', ylabel='CPU time, microseconds per request')
    panel.set_xticks(COUNTS, [f'{count:,}' for count in COUNTS])
    panel.yaxis.set_major_formatter('{x:,.0f}')
    panel.yaxis.set_minor_formatter('')
    panel.legend(frameon=False, fontsize=8, loc='upper left', bbox_to_anchor=(1, 1))
    return figure


def plot_idle(section: dict) -> Figure:
    peers = sorted(section, key=lambda peer: -median(section, peer, 'idle', 'bytes'))
    figure = Figure(figsize=(7, 0.35 * len(peers) + 0.8))
    panel = figure.subplots()
    bars(panel, peers, [median(section, peer, 'idle', 'bytes') for peer in peers], '{:,.0f}')
    panel.set_xlabel('resident memory, bytes per idle connection')
    return figure


def plot_echo(section: dict) -> Figure:
    """One panel for each case, each with its own scale."""
    cases = list(next(iter(section.values())))
    peers = [peer for peer in section if 'microdot' not in peer][::-1]  # whose 64 KB would hide the others
    figure = Figure(figsize=(14, 0.32 * len(peers) + 1))
    panels = figure.subplots(1, len(cases), sharey=True)
    for panel, case in zip(panels, cases, strict=True):
        bars(panel, peers, [median(section, peer, case, 'cpu_us') for peer in peers], '{:.0f}')
        panel.set_title(case, fontsize=9)
    figure.supxlabel('CPU time of the server, microseconds per message', fontsize=9)
    return figure


PLOTS = {'asyncio': plot_requests, 'uvloop': plot_requests, 'routing': plot_routing, 'idle': plot_idle,
         'websocket': plot_echo}
