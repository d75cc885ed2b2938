"""Raw figures: one list of samples for each figure, kept in results.json from run to run."""
import json
import pathlib
import statistics


class Samples:
    """``data[peer][case][figure]`` is a list with one number for each round."""

    def __init__(self) -> None:
        self.data: dict = {}

    def add(self, peer: str, case: str, figures: 'dict[str, float]') -> None:
        lists = self.data.setdefault(peer, {}).setdefault(case, {})
        for figure, value in figures.items():
            lists.setdefault(figure, []).append(round(value, 4))
        print(f'{peer}, {case}: ' + ', '.join(f'{name} {value:,.4g}' for name, value in figures.items()), flush=True)


def median(data: dict, peer: str, case: str, figure: str) -> 'float | None':
    """None where it was not measured."""
    values = data.get(peer, {}).get(case, {}).get(figure)
    return statistics.median(values) if values else None


def largest_spread(data: dict, figure: str) -> float:
    """Of all lists of a figure: the largest distance of a sample from its median, as a share of the median."""
    lists = [case[figure] for peer in data.values() for case in peer.values() if figure in case]
    return max(abs(value / (statistics.median(values) or 1) - 1) for values in lists for value in values)


def rounds(data: dict) -> int:
    """How many samples each list has, at most."""
    return max(len(values) for peer in data.values() for case in peer.values() for values in case.values())


def load(path: pathlib.Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


def save(path: pathlib.Path, results: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + '\n')
